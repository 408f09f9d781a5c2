import { userInfo } from "node:os";

// What to do when the disk refuses us, by the system's name of the problem. Node reports that name; PostgreSQL and initdb report
// only the system's sentence for it.

type Problem = { code: string; text: string; whatToDo: (home: string) => string };

const notAllowed = (home: string) => {
  const { username } = userInfo();
  return `${username} may not use everything in the data folder ${home}; give it to that user (chown -R ${username} ${home}) or choose another folder (DATA_DIR)`;
};

const problems: readonly Problem[] = [
  { code: "EACCES", text: "Permission denied", whatToDo: notAllowed },
  { code: "EPERM", text: "Operation not permitted", whatToDo: notAllowed },
  {
    code: "ENOSPC",
    text: "No space left on device",
    whatToDo: (home) => `The disk of the data folder ${home} is full; free some space and start again`,
  },
  {
    code: "EDQUOT",
    text: "Disk quota exceeded",
    whatToDo: (home) =>
      `The disk quota for the data folder ${home} is used up; raise it or free some space and start again`,
  },
  {
    code: "EROFS",
    text: "Read-only file system",
    whatToDo: (home) =>
      `The data folder ${home} is on a read-only file system; make it writable or choose another (DATA_DIR)`,
  },
];

/** The error itself or, for a problem with the disk, one whose message says what to do, with the original as its cause. */
export function withAdvice(error: unknown, home: string): unknown {
  const { code, message = "" } = error as Partial<NodeJS.ErrnoException>;
  const problem = problems.find(
    (each) =>
      (each.code === code || message.includes(each.text)) && (each.whatToDo !== notAllowed || message.includes(home)),
  );
  return problem ? new Error(`${problem.whatToDo(home)} (${message}).`, { cause: error }) : error;
}
