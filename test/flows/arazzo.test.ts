import { mkdtempDisposable, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { parse } from "yaml";
import { FLOWS, runRespect } from "../../scripts/flows/respect.ts";
import { startSigner } from "../../scripts/flows/signer.ts";
import { kyivTime } from "../../src/sandbox/samples.ts";
import { startPlatform } from "../support/platform.ts";

type Step = { stepId: string; description?: string; successCriteria?: unknown[]; workflowId?: string };
type Workflow = { workflowId: string; summary?: string; description?: string; steps: Step[] };

/** What the runner reports of a run; a step that calls a workflow is a workflow in it. */
type Executed = {
  type: "step" | "workflow";
  stepId?: string;
  workflowId: string;
  status: string;
  executedSteps?: Executed[];
};
type Report = { files: Record<string, { executedWorkflows: Executed[] }>; status: string };

let workflows: Workflow[];
beforeAll(async () => {
  workflows = (parse(await readFile(FLOWS, "utf8")) as { workflows: Workflow[] }).workflows;
});

test("every workflow and every step says in words what happens, and what has to come of it", () => {
  for (const { workflowId, summary, description, steps } of workflows) {
    expect(summary, workflowId).toMatch(/^[A-Z].*\.$/);
    expect(description?.trim(), workflowId).toMatch(/^[A-Z].*\.$/s);
    for (const step of steps) {
      const name = `${workflowId}, ${step.stepId}`;
      expect(step.description?.trim(), name).toMatch(/^[A-Z].*\.$/s);
      if (step.workflowId === undefined) expect(step.successCriteria?.length, name).toBeGreaterThan(0);
    }
  }
});

test("the flows of the contract run: to success, to either rejection, to a register that is paid", async () => {
  await using platform = await startPlatform();
  await using folder = await mkdtempDisposable(join(tmpdir(), "dcm-test-flows-"));
  const { settlements } = platform.operators();
  const closeDay = () => settlements.closeRegisters({ day: kyivTime(new Date()).date, allowOpenDay: true });
  const signer = await startSigner({ ...platform, closeDay });
  let said = "";
  const reportFile = join(folder.path, "report.json");
  const hear = (text: string) => {
    said += text;
  };
  const places = { rest: platform.url(), signer: signer.url };
  const code = await runRespect(places, ["--json-output", reportFile], { hear }).finally(signer.stop);
  expect(code, said).toBe(0);

  const report = JSON.parse(await readFile(reportFile, "utf8")) as Report;
  const executed = Object.values(report.files).flatMap((file) => file.executedWorkflows);
  expect(executed.map(({ workflowId }) => workflowId)).toEqual(workflows.map(({ workflowId }) => workflowId));
  for (const workflow of executed) {
    const declared = workflows.find(({ workflowId }) => workflowId === workflow.workflowId);
    // A step that is tried again is told once for each time.
    const last = new Map(workflow.executedSteps?.map((step) => [step.stepId, step]));
    expect([...last.keys()], workflow.workflowId).toEqual(declared?.steps.map(({ stepId }) => stepId));
    expect([...last.values()].filter(({ status }) => status !== "success")).toEqual([]);
  }
  await platform.endsAllCallbacks();
  // About ten seconds; a busy machine starts the runner slowly.
}, 120_000);

test("the signer says what is wrong with a request", async () => {
  await using platform = await startPlatform();
  const signer = await startSigner({ ...platform, closeDay: async () => {} });
  const ask = async (path: string, body: string) => {
    const answer = await fetch(signer.url + path, { method: "POST", body });
    return [answer.status, ((await answer.json()) as { error: string }).error];
  };
  try {
    expect(await ask("/order", "{")).toEqual([400, "the body is no JSON"]);
    expect(await ask("/order", "[]")).toEqual([400, "the body is no object"]);
    expect(await ask("/access", '{"party":"merchant"}')).toEqual([400, "party is not one of initiator, recipient"]);
    expect(await ask("/payment-message", "{}")).toEqual([400, "encrypt_for is no object"]);
    expect(await ask("/settlement", '{"amount":5}')).toEqual([400, "amount is no text"]);
    expect(await ask("/keys", "{}")).toEqual([404, "there is no such path"]);
  } finally {
    await signer.stop();
  }
});
