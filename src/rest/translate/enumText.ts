/**
 * The text of an enum value. A value without a text comes from a core that is newer than this program: not a refusal of
 * the request, but a fault of the deployment.
 */
export function enumText<Text extends string>(table: { readonly [value: number]: Text }, value: number): Text {
  const text = table[value];
  if (text === undefined) throw new Error(`the core answered an enum value that is not known here: ${value}`);
  return text;
}
