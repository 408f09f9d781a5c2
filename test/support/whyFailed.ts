import { onTestFailed, TestRunner } from "vitest";

/** A line of the log as pino writes it. */
type Line = { level?: unknown; msg?: string; err?: { stack?: string; message?: string } };

/**
 * The errors in lines of a log, with the stack of each. An answer of 500 says nothing on purpose: what happened is in the log alone.
 */
function errorsIn(lines: readonly string[]): string[] {
  return lines
    .map((line) => JSON.parse(line) as Line)
    .filter(({ level }) => level === 50 || level === "error")
    .map(({ msg, err }) => [msg, err?.stack ?? err?.message].filter(Boolean).join(": "));
}

/** Puts what was logged behind the message of the test that is running, should it fail. */
export function tellWhyFailed(lines: readonly string[]): void {
  // A hook of the whole file may ask, too; it has no failure of its own to explain.
  if (TestRunner.getCurrentTest() === undefined) return;
  onTestFailed(({ task }) => {
    const logged = errorsIn(lines).join("\n");
    if (logged === "") return;
    for (const error of task.result?.errors ?? []) error.message += `\n\nLogged meanwhile:\n${logged}`;
  });
}
