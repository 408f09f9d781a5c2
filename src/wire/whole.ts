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
 * A message of the contract with every field named, `undefined` where it is not set, so that a mapping which forgets a field that
 * was added to the contract does not compile.
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

/** Rejects members that the message has no field for. */
type NothingElse<Desc extends DescMessage, Given> = { [Other in Exclude<keyof Given, keyof Whole<Desc>>]: never };

/**
 * Makes a message of the contract. Neither a missing field compiles nor a column of a row, spread into `given`, that the message
 * has no field for: a mapping can forget nothing on either side.
 */
export function whole<Desc extends DescMessage, Given extends Whole<Desc>>(
  schema: Desc,
  given: Given & NothingElse<Desc, Given>,
): MessageShape<Desc> {
  return create(schema, given as never);
}

/** The handlers of a service, whose answers are whole messages. */
export type WholeAnswers<Service extends DescService> = {
  [Method in keyof Service["method"]]: Service["method"][Method] extends DescMethodUnary<infer Request, infer Answer>
    ? (request: MessageShape<Request>, context: HandlerContext) => Promise<Whole<Answer>> | Whole<Answer>
    : never;
};
