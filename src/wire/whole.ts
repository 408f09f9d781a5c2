import {
  create,
  type DescMessage,
  type DescMethodUnary,
  type DescService,
  type Message,
  type MessageShape,
} from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";

/**
 * A message of the contract of which every field is named, `undefined` where it is not set: a field that is added to the
 * contract and answered by nobody does not compile.
 */
export type Whole<Desc extends DescMessage> = WholeMessage<MessageShape<Desc>>;

type WholeMessage<Shape> = {
  [Field in keyof Shape as Exclude<Field, `$${string}`>]-?: Record<never, never> extends Pick<Shape, Field>
    ? WholeValue<Shape[Field]> | undefined
    : WholeValue<Shape[Field]>;
};

type WholeValue<Value> = Value extends readonly (infer Item)[]
  ? WholeValue<Item>[]
  : Value extends Message
    ? Value | WholeMessage<Value>
    : Value;

/** What is said beside the fields of a message has no value that the compiler would take. */
type NothingElse<Desc extends DescMessage, Given> = { [Other in Exclude<keyof Given, keyof Whole<Desc>>]: never };

/**
 * A message of the contract from all that it says. Neither a field that nobody gives compiles, nor a column of a row, spread into
 * `given`, that the message has no field for: so a mapping can forget nothing on either side.
 */
export function whole<Desc extends DescMessage, Given extends Whole<Desc>>(
  schema: Desc,
  given: Given & NothingElse<Desc, Given>,
): MessageShape<Desc> {
  return create(schema, given as never);
}

/** The handlers of a service, which answer whole messages: as they write them, or as the core has made them. */
export type WholeAnswers<Service extends DescService> = {
  [Method in keyof Service["method"]]: Service["method"][Method] extends DescMethodUnary<infer Request, infer Answer>
    ? (
        request: MessageShape<Request>,
        context: HandlerContext,
      ) => Promise<Whole<Answer> | MessageShape<Answer>> | Whole<Answer>
    : never;
};
