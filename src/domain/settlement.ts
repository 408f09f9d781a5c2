export const registerStatuses = ["sent", "sent_no_pm", "sent_internal", "processing", "paid"] as const;
export type RegisterStatus = (typeof registerStatuses)[number];

/** The exact strings of the documents (wire-contract section 7). */
export const registerStatusText = {
  sent: "Sent",
  sent_no_pm: "Sent (no PM)",
  sent_internal: "Sent (Interbank)",
  processing: "Processing",
  paid: "Paid",
} as const satisfies Record<RegisterStatus, string>;

/** The status that a register is born with. */
export function initialRegisterStatus(debtorAgentGuid: string, creditorAgentGuid: string | null): RegisterStatus {
  if (creditorAgentGuid === null) return "sent_no_pm";
  return debtorAgentGuid === creditorAgentGuid ? "sent_internal" : "sent";
}

/** Whether the text is a calendar day YYYY-MM-DD. */
export function isCalendarDay(text: string): boolean {
  const instant = Date.parse(`${text}T00:00:00Z`);
  return /^\d{4}-\d{2}-\d{2}$/.test(text) && !Number.isNaN(instant) && new Date(instant).toISOString().startsWith(text);
}

/** ddmmyy of the day, then the increment of that day, counted from 1 (wire-contract section 7). */
export function registerId(day: string, increment: number): string {
  const [year = "", month = "", dayOfMonth = ""] = day.split("-");
  return `${dayOfMonth}${month}${year.slice(2)}${increment}`;
}

/** The purpose that a register's settlement payment must have. */
export function registerPurpose(id: string): string {
  return `Gross settlement register ${id}`;
}
