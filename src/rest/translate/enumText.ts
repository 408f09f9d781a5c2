/** The values of an enumeration that the core can answer. */
export type Answered<Enum extends number> = Exclude<Enum, 0>;

type Undocumented<Text> = { noValueHasTheText: Text };

/**
 * The texts of an enumeration: one for each value of the core, and each that the contract documents for some value. A value that is
 * added on either side does not compile.
 */
export function enumTexts<Value extends number, Text extends string>() {
  return <const Table extends Readonly<Record<Value, Text>>>(
    table: Table & ([Text] extends [Table[Value]] ? unknown : Undocumented<Exclude<Text, Table[Value]>>),
  ): Table => table;
}

/**
 * The text of an enum value. A value without a text comes from a core that is newer than this program: not a refusal of
 * the request, but a fault of the deployment.
 */
export function enumText<Text extends string>(table: { readonly [value: number]: Text }, value: number): Text {
  const text = table[value];
  if (text === undefined) throw new Error(`the core answered an enum value that is not known here: ${value}`);
  return text;
}
