/** As ISO 7064 has it, in one step: letters count from 10, and the country stands behind the account. */
export function ibanCheckDigits(account: string): string {
  const digits = [...`${account}UA00`].map((character) => Number.parseInt(character, 36)).join("");
  return String(98n - (BigInt(digits) % 97n)).padStart(2, "0");
}
