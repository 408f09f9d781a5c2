// What the route table says of a deprecated operation, from the contract's own words about it.

export type MaybeDeprecated = {
  operationId: string;
  deprecated?: boolean;
  "x-dcm-deprecated-since"?: string;
  "x-dcm-sunset"?: string;
  "x-dcm-successor"?: string;
};

type Successor = { path: string; method: string; operation: MaybeDeprecated };

/** So long a deprecated operation stays at the least; the contract promises it. */
const monthsOfNotice = 12;

/** Nothing for an operation that stays. Throws where the contract says too little of one that goes, or ends it too soon. */
export function deprecationOf(operation: MaybeDeprecated, successor: Successor | undefined) {
  const { operationId: id, deprecated, "x-dcm-deprecated-since": since, "x-dcm-sunset": sunset } = operation;
  if (!deprecated) {
    if (since ?? sunset ?? operation["x-dcm-successor"])
      throw new Error(`${id}: an operation that is not deprecated has neither a successor nor an end`);
    return {};
  }
  if (since === undefined || successor === undefined || successor.operation.deprecated)
    throw new Error(`${id}: a deprecated operation needs x-dcm-deprecated-since, and an x-dcm-successor that stays`);
  const earliestEnd = new Date(secondsOfDay(since) * 1000);
  earliestEnd.setUTCMonth(earliestEnd.getUTCMonth() + monthsOfNotice);
  if (sunset !== undefined && secondsOfDay(sunset) * 1000 < earliestEnd.getTime())
    throw new Error(`${id}: x-dcm-sunset comes less than ${monthsOfNotice} months after x-dcm-deprecated-since`);
  return {
    deprecation: {
      sinceSeconds: secondsOfDay(since),
      successorPointer: `#/paths/${pointerStep(successor.path)}/${successor.method}`,
      ...(sunset !== undefined && { sunsetSeconds: secondsOfDay(sunset) }),
    },
  };
}

/** Midnight, UTC, of a calendar day. */
function secondsOfDay(day: string): number {
  const at = new Date(`${day}T00:00:00Z`);
  if (Number.isNaN(at.getTime()) || !at.toISOString().startsWith(day)) throw new Error(`${day} is not a day`);
  return at.getTime() / 1000;
}

/** A step of a JSON pointer as the fragment of a URI has it. */
const pointerStep = (step: string) => encodeURIComponent(step.replaceAll("~", "~0").replaceAll("/", "~1"));
