/** The values of an enumeration that the contract names and the core can answer. */
export type Answered<Enum extends { readonly [name: string]: number }> = Exclude<Enum[keyof Enum], 0>;

type WithoutText<Value> = { valueWithoutText: Value };

/**
 * The texts of an enumeration, from the value of the core for each text that the contract documents. A text or a value that is added
 * on either side does not compile.
 */
export function enumTexts<Value extends number, Text extends string>() {
  return <const Table extends Readonly<Record<Text, Value>>>(
    values: Table & ([Value] extends [Table[Text]] ? unknown : WithoutText<Exclude<Value, Table[Text]>>),
  ): Readonly<Record<Value, Text>> => {
    const pairs = (Object.entries(values) as [Text, Value][]).map(([text, value]) => [value, text]);
    return Object.fromEntries(pairs) as Record<Value, Text>;
  };
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
