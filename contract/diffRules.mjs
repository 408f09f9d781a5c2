// Rules for `redocly diff` beside its own: what a change of openapi/dcm.v1.yaml breaks by this contract's own words.

/** What stands at one side of a change, behind its `$ref`. */
const valueAt = (side) => (side?.resolved ?? side)?.value;

/** An enumeration is open to its reader unless the contract closes it (info.description, "Compatibility"). */
const closedEnumValuesAdded = () => ({
  Schema(change, { report, getDirections }) {
    if (change.kind !== "modified" || !getDirections().includes("response")) return;
    const before = valueAt(change.node.base);
    if (before?.["x-dcm-closed"] !== true) return;
    if (change.property === "x-dcm-closed") report({ message: "A closed enumeration was opened." });
    if (change.property !== "enum") return;
    const gained = (change.revision.value ?? []).filter((value) => !before.enum.includes(value));
    if (gained.length > 0) report({ message: `A closed enumeration gained values: ${gained.join(", ")}.` });
  },
});

/** redocly's own rule sees a callback that is gone, not one that has another name. */
const webhookRenamed = () => ({
  WebhooksMap: {
    PathItem(change, { report }) {
      if (change.kind === "modified" && change.property === "key")
        report({ message: `Webhook ${change.base.value} was renamed to ${change.revision.value}.` });
    },
  },
});

/** What a receiver gets with a callback is an answer to it: redocly's own rules look at the parameters of requests only. */
const webhookHeaderRemoved = () => ({
  WebhooksMap: {
    PathItem: {
      Operation: {
        Parameter(change, { report }) {
          if (change.kind === "removed") report({ message: "A header of a callback was removed." });
          if (change.kind !== "modified") return;
          if (change.property === "name" || change.property === "in")
            report({
              message: `A header of a callback changed from ${change.base.value} to ${change.revision.value}.`,
            });
          if (change.property === "required" && change.base.value === true)
            report({ message: "A header of a callback is no longer always there." });
        },
        ParameterList(change, { report }) {
          if (change.kind === "removed") report({ message: "All headers of a callback were removed." });
        },
      },
    },
  },
});

/** A program that reads a refusal goes by the code of the field. */
const fieldCodeChanged = () => ({
  Schema(change, { report, getDirections }) {
    if (change.kind !== "modified" || change.property !== "x-dcm-code" || !getDirections().includes("request")) return;
    const [before, now] = [change.base.value, change.revision.value];
    if (before !== undefined) report({ message: `A field is refused with ${now} instead of ${before}.` });
  },
});

export default () => ({
  id: "dcm",
  diff: {
    oas3: {
      "closed-enum-values-added": closedEnumValuesAdded,
      "webhook-renamed": webhookRenamed,
      "webhook-header-removed": webhookHeaderRemoved,
      "field-code-changed": fieldCodeChanged,
    },
  },
});
