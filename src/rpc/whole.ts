import type { DescMessage, DescMethodUnary, DescService, Message, MessageShape } from "@bufbuild/protobuf";
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

/** The handlers of a service, which answer whole messages. */
export type WholeAnswers<Service extends DescService> = {
  [Method in keyof Service["method"]]: Service["method"][Method] extends DescMethodUnary<infer Request, infer Answer>
    ? (request: MessageShape<Request>, context: HandlerContext) => Promise<Whole<Answer>> | Whole<Answer>
    : never;
};
