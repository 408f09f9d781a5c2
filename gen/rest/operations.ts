// Generated from the contract by scripts/generate.ts. Do not edit.
import type { components, operations as Documented } from "./types.ts";
import * as parameterValidators from "./parameterValidators.ts";
import * as validators from "./validators.ts";

/** Where a value breaks its schema. */
export type SchemaProblem = {
  instancePath: string;
  schemaPath: string;
  keyword: string;
  params: Record<string, unknown>;
  message?: string;
};
/** A compiled validator; after a refusal `errors` holds the first problem. */
export type Validate<T> = ((value: unknown) => value is T) & { errors?: SchemaProblem[] | null };

const check = <T>(compiled: unknown) => compiled as Validate<T>;

/** Every operation of the contract. */
export const operations = {
  showPaymentPage: {"method":"get","path":"/api/v1/merchants/order","expressPath":"/api/v1/merchants/order","access":["anybody"],"needsAccess":false,"requestContentTypes":[],"bodyRequired":false,"successStatus":200,"errorFamily":"ErrorAnswer"},
  createOrder: {"method":"post","path":"/api/v1/merchants/order","expressPath":"/api/v1/merchants/order","access":["merchant"],"needsAccess":false,"requestContentTypes":["application/json"],"bodyRequired":false,"successStatus":201,"errorFamily":"ErrorAnswer"},
  getOrderStatus: {"method":"get","path":"/api/v1/merchants/order/status","expressPath":"/api/v1/merchants/order/status","access":["anybody"],"needsAccess":false,"requestContentTypes":[],"bodyRequired":false,"successStatus":200,"errorFamily":"ErrorAnswer"},
  followOrder: {"method":"get","path":"/api/v1/merchants/order/events","expressPath":"/api/v1/merchants/order/events","access":["anybody"],"needsAccess":false,"requestContentTypes":[],"bodyRequired":false,"successStatus":200,"errorFamily":"ErrorAnswer"},
  cancelOrder: {"method":"post","path":"/api/v1/merchants/order/cancel","expressPath":"/api/v1/merchants/order/cancel","access":["merchant"],"needsAccess":false,"requestContentTypes":["application/json"],"bodyRequired":true,"successStatus":200,"errorFamily":"ErrorAnswer"},
  listEmitters: {"method":"get","path":"/api/v1/merchants/emitters","expressPath":"/api/v1/merchants/emitters","access":["anybody"],"needsAccess":false,"requestContentTypes":[],"bodyRequired":false,"successStatus":200,"errorFamily":"ErrorAnswer"},
  getOrderForBank: {"method":"get","path":"/api/v1/merchants/order/nbu/json","expressPath":"/api/v1/merchants/order/nbu/json","access":["initiator","recipient","institution"],"needsAccess":true,"requestContentTypes":[],"bodyRequired":false,"successStatus":200,"errorFamily":"ErrorAnswer"},
  getPaymentMessageByOrder: {"method":"get","path":"/api/v1/merchants/order/{order_id}/payment-message","expressPath":"/api/v1/merchants/order/:order_id/payment-message","access":["initiator","recipient","institution"],"needsAccess":true,"requestContentTypes":[],"bodyRequired":false,"successStatus":200,"errorFamily":"ErrorAnswer"},
  submitPaymentMessage: {"method":"post","path":"/api/v1/counterparty/{counterparty_guid}/payment-message","expressPath":"/api/v1/counterparty/:counterparty_guid/payment-message","access":["initiator","institution"],"needsAccess":true,"requestContentTypes":["application/json","application/jwt","application/jose","text/plain"],"bodyRequired":true,"successStatus":201,"errorFamily":"ErrorAnswer"},
  submitPaymentMessageAlias: {"method":"post","path":"/api/v1/payment_message","expressPath":"/api/v1/payment_message","access":["initiator","institution"],"needsAccess":true,"requestContentTypes":["application/json","application/jwt","application/jose","text/plain"],"bodyRequired":true,"successStatus":201,"errorFamily":"ErrorAnswer","deprecation":{"sinceSeconds":1795737600,"successorPointer":"#/paths/~1api~1v1~1counterparty~1%7Bcounterparty_guid%7D~1payment-message/post"}},
  submitPaymentMessageHyphenAlias: {"method":"post","path":"/api/v1/payment-message","expressPath":"/api/v1/payment-message","access":["initiator","institution"],"needsAccess":true,"requestContentTypes":["application/json","application/jwt","application/jose","text/plain"],"bodyRequired":true,"successStatus":201,"errorFamily":"ErrorAnswer","deprecation":{"sinceSeconds":1795737600,"successorPointer":"#/paths/~1api~1v1~1counterparty~1%7Bcounterparty_guid%7D~1payment-message/post"}},
  getPaymentMessage: {"method":"get","path":"/api/v1/counterparty/{counterparty_guid}/payment-message/{payment_message_guid}","expressPath":"/api/v1/counterparty/:counterparty_guid/payment-message/:payment_message_guid","access":["initiator","recipient","institution"],"needsAccess":true,"requestContentTypes":[],"bodyRequired":false,"successStatus":200,"errorFamily":"ErrorAnswer"},
  listGrossSettlements: {"method":"get","path":"/api/v1/counterparty/{counterparty_guid}/gross-settlement","expressPath":"/api/v1/counterparty/:counterparty_guid/gross-settlement","access":["bank"],"needsAccess":true,"requestContentTypes":[],"bodyRequired":false,"successStatus":200,"errorFamily":"SettlementErrorAnswer"},
  getGrossSettlement: {"method":"get","path":"/api/v1/counterparty/{counterparty_guid}/gross-settlement/{register_id}","expressPath":"/api/v1/counterparty/:counterparty_guid/gross-settlement/:register_id","access":["initiator","recipient","institution"],"needsAccess":true,"requestContentTypes":[],"bodyRequired":false,"successStatus":200,"errorFamily":"SettlementErrorAnswer"},
  payGrossSettlement: {"method":"post","path":"/api/v1/counterparty/{counterparty_guid}/gross-settlement/pay/{register_id}","expressPath":"/api/v1/counterparty/:counterparty_guid/gross-settlement/pay/:register_id","access":["initiator"],"needsAccess":true,"requestContentTypes":["application/json"],"bodyRequired":true,"successStatus":201,"errorFamily":"SettlementErrorAnswer"},
  confirmGrossSettlement: {"method":"post","path":"/api/v1/counterparty/{counterparty_guid}/gross-settlement/pay/{register_id}/confirm","expressPath":"/api/v1/counterparty/:counterparty_guid/gross-settlement/pay/:register_id/confirm","access":["initiator"],"needsAccess":true,"requestContentTypes":["application/json"],"bodyRequired":true,"successStatus":201,"errorFamily":"SettlementErrorAnswer"},
  confirmInternalGrossSettlement: {"method":"post","path":"/api/v1/counterparty/{counterparty_guid}/gross-settlement/confirm_internal/{register_id}","expressPath":"/api/v1/counterparty/:counterparty_guid/gross-settlement/confirm_internal/:register_id","access":["institution"],"needsAccess":true,"requestContentTypes":[],"bodyRequired":false,"successStatus":201,"errorFamily":"SettlementErrorAnswer"},
  addKey: {"method":"post","path":"/api/v1/counterparty/{counterparty_guid}/keys","expressPath":"/api/v1/counterparty/:counterparty_guid/keys","access":["bank"],"needsAccess":true,"requestContentTypes":["application/json"],"bodyRequired":true,"successStatus":201,"errorFamily":"ErrorAnswer"},
  listMissedCallbacks: {"method":"get","path":"/api/v1/counterparty/{counterparty_guid}/callbacks/missed","expressPath":"/api/v1/counterparty/:counterparty_guid/callbacks/missed","access":["bank"],"needsAccess":true,"requestContentTypes":[],"bodyRequired":false,"successStatus":200,"errorFamily":"ErrorAnswer"},
  listMerchantMissedCallbacks: {"method":"get","path":"/api/v1/merchants/callbacks/missed","expressPath":"/api/v1/merchants/callbacks/missed","access":["merchant"],"needsAccess":true,"requestContentTypes":[],"bodyRequired":false,"successStatus":200,"errorFamily":"ErrorAnswer"},
  getLogo: {"method":"get","path":"/api/v1/logos/{sha256}","expressPath":"/api/v1/logos/:sha256","access":["anybody"],"needsAccess":false,"requestContentTypes":[],"bodyRequired":false,"successStatus":200,"errorFamily":"ErrorAnswer"},
  getJwks: {"method":"get","path":"/api/v1/.well-known/jwks.json","expressPath":"/api/v1/.well-known/jwks.json","access":["anybody"],"needsAccess":false,"requestContentTypes":[],"bodyRequired":false,"successStatus":200,"errorFamily":"ErrorAnswer"},
  getOpenapiYaml: {"method":"get","path":"/openapi.yaml","expressPath":"/openapi.yaml","access":["anybody"],"needsAccess":false,"requestContentTypes":[],"bodyRequired":false,"successStatus":200,"errorFamily":"ErrorAnswer"},
  getOpenapiJson: {"method":"get","path":"/openapi.json","expressPath":"/openapi.json","access":["anybody"],"needsAccess":false,"requestContentTypes":[],"bodyRequired":false,"successStatus":200,"errorFamily":"ErrorAnswer"},
  getDocs: {"method":"get","path":"/docs","expressPath":"/docs","access":["anybody"],"needsAccess":false,"requestContentTypes":[],"bodyRequired":false,"successStatus":200,"errorFamily":"ErrorAnswer"},
  getHealth: {"method":"get","path":"/healthz","expressPath":"/healthz","access":["anybody"],"needsAccess":false,"requestContentTypes":[],"bodyRequired":false,"successStatus":200,"errorFamily":"ErrorAnswer"},
  getReadiness: {"method":"get","path":"/readyz","expressPath":"/readyz","access":["anybody"],"needsAccess":false,"requestContentTypes":[],"bodyRequired":false,"successStatus":200,"errorFamily":"ErrorAnswer"},
  getMetrics: {"method":"get","path":"/metrics","expressPath":"/metrics","access":["neighbour"],"needsAccess":false,"requestContentTypes":[],"bodyRequired":false,"successStatus":200,"errorFamily":"ErrorAnswer"},
} as const;

export type OperationId = keyof typeof operations;

/** What is validated before a handler sees it. */
export const requestValidators: { [Id in OperationId]: { path?: Validate<unknown>; query?: Validate<unknown>; body?: Validate<unknown>; bareBody?: Validate<unknown> } } = {
  showPaymentPage: { query: check(parameterValidators.showPaymentPage_query) },
  createOrder: { query: check(parameterValidators.createOrder_query), body: check(validators.createOrder_body) },
  getOrderStatus: { query: check(parameterValidators.getOrderStatus_query) },
  followOrder: { query: check(parameterValidators.followOrder_query) },
  cancelOrder: { body: check(validators.cancelOrder_body) },
  listEmitters: {  },
  getOrderForBank: { query: check(parameterValidators.getOrderForBank_query) },
  getPaymentMessageByOrder: { path: check(parameterValidators.getPaymentMessageByOrder_path) },
  submitPaymentMessage: { path: check(parameterValidators.submitPaymentMessage_path), body: check(validators.submitPaymentMessage_body), bareBody: check(validators.submitPaymentMessage_bareBody) },
  submitPaymentMessageAlias: { body: check(validators.submitPaymentMessageAlias_body), bareBody: check(validators.submitPaymentMessageAlias_bareBody) },
  submitPaymentMessageHyphenAlias: { body: check(validators.submitPaymentMessageHyphenAlias_body), bareBody: check(validators.submitPaymentMessageHyphenAlias_bareBody) },
  getPaymentMessage: { path: check(parameterValidators.getPaymentMessage_path) },
  listGrossSettlements: { path: check(parameterValidators.listGrossSettlements_path), query: check(parameterValidators.listGrossSettlements_query) },
  getGrossSettlement: { path: check(parameterValidators.getGrossSettlement_path), query: check(parameterValidators.getGrossSettlement_query) },
  payGrossSettlement: { path: check(parameterValidators.payGrossSettlement_path), body: check(validators.payGrossSettlement_body) },
  confirmGrossSettlement: { path: check(parameterValidators.confirmGrossSettlement_path), body: check(validators.confirmGrossSettlement_body) },
  confirmInternalGrossSettlement: { path: check(parameterValidators.confirmInternalGrossSettlement_path) },
  addKey: { path: check(parameterValidators.addKey_path), body: check(validators.addKey_body) },
  listMissedCallbacks: { path: check(parameterValidators.listMissedCallbacks_path), query: check(parameterValidators.listMissedCallbacks_query) },
  listMerchantMissedCallbacks: { query: check(parameterValidators.listMerchantMissedCallbacks_query) },
  getLogo: { path: check(parameterValidators.getLogo_path) },
  getJwks: {  },
  getOpenapiYaml: {  },
  getOpenapiJson: {  },
  getDocs: {  },
  getHealth: {  },
  getReadiness: {  },
  getMetrics: {  },
};

/** What is said of a text that breaks its schema, by the schema's JSON pointer. */
export const problemWords: { [schemaPath: string]: string } = {
  "#/components/schemas/Iban": "is not a Ukrainian IBAN of 29 characters",
  "#/components/schemas/PlainText": "must have a visible character and no control characters",
  "#/components/schemas/WebUrl": "is not an http or https URL without a user name",
  "#/components/schemas/EncryptedValue": "is not base64 ciphertext (AES-256-GCM with its 16-byte tag, in standard base64 with padding)",
  "#/components/schemas/Encryption/properties/nonce": "is not base64 of a nonce of 12 bytes",
  "#/components/schemas/Encryption/properties/encrypted_key": "is not base64 of a key that is encrypted by RSA-OAEP for the recipient bank"
};

/** The payloads of tokens, with the code of each field by its JSON pointer, and the fields that hold texts. */
export const claims = {
  CxAuthorizationClaims: { validate: check<components["schemas"]["CxAuthorizationClaims"]>(validators.CxAuthorizationClaims), codes: {"/iat":"TOKEN_INCOMPLETE","/jti":"TOKEN_INCOMPLETE","/nbf":"TOKEN_NOT_YET_VALID","/body_sha256":"TOKEN_BODY_MISMATCH","/aud":"TOKEN_AUDIENCE","/exp":"TOKEN_EXPIRED"}, texts: ["/iat","/jti","/nbf","/body_sha256","/iss","/aud","/exp","/callback_kind"] },
  NewKeyClaims: { validate: check<components["schemas"]["NewKeyClaims"]>(validators.NewKeyClaims), codes: {"/jwk":"INVALID_KEY","/retire_others_at":"INVALID_REQUEST"}, texts: ["/retire_others_at"] },
  OrderClaims: { validate: check<components["schemas"]["OrderClaims"]>(validators.OrderClaims), codes: {"/sub":"INVALID_REQUEST","/exp":"INVALID_REQUEST","/iat":"INVALID_REQUEST","/amt":"INVALID_AMOUNT","/cur":"INVALID_CURRENCY","/ref":"INVALID_REQUEST","/prp":"INVALID_PURPOSE","/url":"INVALID_REQUEST","/fri":"INVALID_REQUEST","/fri/frn":"INVALID_REQUEST","/fri/frc":"INVALID_REQUEST","/fri/fra":"INVALID_REQUEST","/fri/frb":"INVALID_REQUEST","/fri/frm":"INVALID_REQUEST"}, texts: ["/sub","/exp","/iat","/cur","/ref","/prp","/url","/fri/frn","/fri/frc","/fri/fra","/fri/frb","/fri/frm"] },
  OrderCancellationClaims: { validate: check<components["schemas"]["OrderCancellationClaims"]>(validators.OrderCancellationClaims), codes: {"/sub":"INVALID_REQUEST","/order_id":"INVALID_REQUEST","/iat":"INVALID_ISSUE_TIME"}, texts: ["/sub","/order_id","/iat"] },
  OrderDetailsClaims: { validate: check<components["schemas"]["OrderDetailsClaims"]>(validators.OrderDetailsClaims), codes: {}, texts: ["/id","/cur","/ref","/prp","/uid","/recn","/recc","/acc","/logo_url","/bic","/fri/frn","/fri/frc","/fri/fra","/fri/frb","/fri/frm"] },
  PaymentMessageClaims: { validate: check<components["schemas"]["PaymentMessageClaims"]>(validators.PaymentMessageClaims), codes: {"/jti":"INVALID_REQUEST","/payment_message_external_id":"INVALID_EXTERNAL_ID","/amount":"INVALID_AMOUNT","/currency":"INVALID_CURRENCY","/debtor_agent_bic":"SENDER_COUNTERPARTY_NOT_FOUND","/debtor":"INVALID_REQUEST","/debtor/debtor_name":"INVALID_DEBTOR_NAME","/debtor/debtor_id":"INVALID_DEBTOR_ID","/debtor/debtor_account":"INVALID_DEBTOR_ACCOUNT","/debtor/debtor_phone":"INVALID_DEBTOR_PHONE","/creditor_agent_bic":"RECEIVER_COUNTERPARTY_NOT_FOUND","/creditor":"INVALID_REQUEST","/creditor/creditor_name":"INVALID_CREDITOR_NAME","/creditor/creditor_id":"INVALID_CREDITOR_ID","/creditor/creditor_account":"INVALID_CREDITOR_ACCOUNT","/order_id":"ORDER_NOT_FOUND","/purpose":"INVALID_PURPOSE","/msg_creation_date":"INVALID_CREATION_DATE","/msg_creation_time":"INVALID_CREATION_TIME","/pm_type":"INVALID_REQUEST","/sender_account_type":"INVALID_REQUEST","/encryption":"INVALID_REQUEST","/encryption/nonce":"INVALID_NONCE","/encryption/encrypted_key":"INVALID_ENCRYPTED_KEY","/encryption/kid":"INVALID_ENCRYPTED_KEY"}, texts: ["/jti","/payment_message_external_id","/currency","/debtor_agent_bic","/debtor/debtor_name","/debtor/debtor_id","/debtor/debtor_account","/debtor/debtor_phone","/creditor_agent_bic","/creditor/creditor_name","/creditor/creditor_id","/creditor/creditor_account","/order_id","/purpose","/msg_creation_date","/msg_creation_time","/pm_type","/sender_account_type","/encryption/nonce","/encryption/encrypted_key","/encryption/kid"] },
  PingClaims: { validate: check<components["schemas"]["PingClaims"]>(validators.PingClaims), codes: {}, texts: ["/iss","/aud","/jti","/callback_kind","/challenge"] },
  PingProofClaims: { validate: check<components["schemas"]["PingProofClaims"]>(validators.PingProofClaims), codes: {}, texts: ["/challenge"] },
  PayInBankClaims: { validate: check<components["schemas"]["PayInBankClaims"]>(validators.PayInBankClaims), codes: {"/payment_message/encryption/nonce":"INVALID_NONCE","/payment_message/encryption/encrypted_key":"INVALID_ENCRYPTED_KEY","/payment_message/encryption/kid":"INVALID_ENCRYPTED_KEY"}, texts: ["/iss","/aud","/jti","/callback_kind","/payment_message/jti","/payment_message/payment_message_external_id","/payment_message/currency","/payment_message/debtor_agent/debtor_agent_name","/payment_message/debtor_agent/debtor_agent_bic","/payment_message/debtor/debtor_name","/payment_message/debtor/debtor_id","/payment_message/debtor/debtor_account","/payment_message/creditor_agent/creditor_agent_name","/payment_message/creditor_agent/creditor_agent_bic","/payment_message/creditor/creditor_name","/payment_message/creditor/creditor_id","/payment_message/creditor/creditor_account","/payment_message/creditor/creditor_uid","/payment_message/ultimate_creditor/ultimate_creditor_name","/payment_message/ultimate_creditor/ultimate_creditor_id","/payment_message/ultimate_creditor/ultimate_creditor_iban","/payment_message/ultimate_creditor/ultimate_creditor_bic","/payment_message/ultimate_creditor/ultimate_creditor_mcc","/payment_message/order_id","/payment_message/purpose","/payment_message/msg_creation_date","/payment_message/msg_creation_time","/payment_message/pm_type","/payment_message/sender_account_type","/payment_message/encryption/nonce","/payment_message/encryption/encrypted_key","/payment_message/encryption/kid","/payment_message/public_key/alg","/payment_message/public_key/kty","/payment_message/public_key/kid","/payment_message/public_key/use","/payment_message/public_key/e","/payment_message/public_key/n","/payment_message/public_key/crv","/payment_message/public_key/x","/payment_message/public_key/y","/payment_message_guid","/status","/reason"] },
  PayInMerchantClaims: { validate: check<components["schemas"]["PayInMerchantClaims"]>(validators.PayInMerchantClaims), codes: {}, texts: ["/iss","/aud","/jti","/callback_kind","/payment_message_external_id","/payment_message_guid","/callback_guid","/currency","/sender_account_iban","/receiver_account_iban","/order_id","/ref_number","/purpose","/status","/reason"] },
  PayOutClaims: { validate: check<components["schemas"]["PayOutClaims"]>(validators.PayOutClaims), codes: {"/payment_message/encryption/nonce":"INVALID_NONCE","/payment_message/encryption/encrypted_key":"INVALID_ENCRYPTED_KEY","/payment_message/encryption/kid":"INVALID_ENCRYPTED_KEY"}, texts: ["/iss","/aud","/jti","/callback_kind","/payment_message/jti","/payment_message/payment_message_external_id","/payment_message/currency","/payment_message/debtor_agent/debtor_agent_name","/payment_message/debtor_agent/debtor_agent_bic","/payment_message/debtor/debtor_name","/payment_message/debtor/debtor_id","/payment_message/debtor/debtor_account","/payment_message/creditor_agent/creditor_agent_name","/payment_message/creditor_agent/creditor_agent_bic","/payment_message/creditor/creditor_name","/payment_message/creditor/creditor_id","/payment_message/creditor/creditor_account","/payment_message/creditor/creditor_uid","/payment_message/ultimate_creditor/ultimate_creditor_name","/payment_message/ultimate_creditor/ultimate_creditor_id","/payment_message/ultimate_creditor/ultimate_creditor_iban","/payment_message/ultimate_creditor/ultimate_creditor_bic","/payment_message/ultimate_creditor/ultimate_creditor_mcc","/payment_message/order_id","/payment_message/purpose","/payment_message/msg_creation_date","/payment_message/msg_creation_time","/payment_message/pm_type","/payment_message/sender_account_type","/payment_message/encryption/nonce","/payment_message/encryption/encrypted_key","/payment_message/encryption/kid","/payment_message/public_key/alg","/payment_message/public_key/kty","/payment_message/public_key/kid","/payment_message/public_key/use","/payment_message/public_key/e","/payment_message/public_key/n","/payment_message/public_key/crv","/payment_message/public_key/x","/payment_message/public_key/y","/payment_message_guid","/status"] },
  CreditClaims: { validate: check<components["schemas"]["CreditClaims"]>(validators.CreditClaims), codes: {"/payment_message/encryption/nonce":"INVALID_NONCE","/payment_message/encryption/encrypted_key":"INVALID_ENCRYPTED_KEY","/payment_message/encryption/kid":"INVALID_ENCRYPTED_KEY"}, texts: ["/iss","/aud","/jti","/callback_kind","/payment_message/jti","/payment_message/payment_message_external_id","/payment_message/currency","/payment_message/debtor_agent/debtor_agent_name","/payment_message/debtor_agent/debtor_agent_bic","/payment_message/debtor/debtor_name","/payment_message/debtor/debtor_id","/payment_message/debtor/debtor_account","/payment_message/creditor_agent/creditor_agent_name","/payment_message/creditor_agent/creditor_agent_bic","/payment_message/creditor/creditor_name","/payment_message/creditor/creditor_id","/payment_message/creditor/creditor_account","/payment_message/creditor/creditor_uid","/payment_message/ultimate_creditor/ultimate_creditor_name","/payment_message/ultimate_creditor/ultimate_creditor_id","/payment_message/ultimate_creditor/ultimate_creditor_iban","/payment_message/ultimate_creditor/ultimate_creditor_bic","/payment_message/ultimate_creditor/ultimate_creditor_mcc","/payment_message/order_id","/payment_message/purpose","/payment_message/msg_creation_date","/payment_message/msg_creation_time","/payment_message/pm_type","/payment_message/sender_account_type","/payment_message/encryption/nonce","/payment_message/encryption/encrypted_key","/payment_message/encryption/kid","/payment_message/public_key/alg","/payment_message/public_key/kty","/payment_message/public_key/kid","/payment_message/public_key/use","/payment_message/public_key/e","/payment_message/public_key/n","/payment_message/public_key/crv","/payment_message/public_key/x","/payment_message/public_key/y","/payment_message_guid","/status","/reason"] },
  ExpirationBody: { validate: check<components["schemas"]["ExpirationBody"]>(validators.ExpirationBody), codes: {}, texts: ["/amount_matched","/callback_guid","/currency","/order_id","/payment_message_external_id","/payment_message_guid","/purpose","/reason","/receiver_account_iban","/ref_found","/ref_number","/sender_account_iban","/status"] },
  GrossSettlementClaims: { validate: check<components["schemas"]["GrossSettlementClaims"]>(validators.GrossSettlementClaims), codes: {}, texts: ["/iss","/aud","/jti","/callback_kind","/id","/debtor_name","/debtor_bic","/creditor_name","/creditor_bic","/creditor_code","/charging_account","/purpose","/period_start","/period_end","/total_amount","/total_amount_to_pay","/total_fee_amount","/currency","/status","/created_at","/updated_at","/deleted_at","/adjusts_day","/register_url"] },
  GrossSettlementPaymentClaims: { validate: check<components["schemas"]["GrossSettlementPaymentClaims"]>(validators.GrossSettlementPaymentClaims), codes: {}, texts: ["/payment_message_external_id","/creditor_iban","/currency","/purpose","/creation_date"] },
  GrossSettlementConfirmationClaims: { validate: check<components["schemas"]["GrossSettlementConfirmationClaims"]>(validators.GrossSettlementConfirmationClaims), codes: {}, texts: ["/payment_message_external_id","/creditor_iban","/currency","/purpose","/creation_date","/status"] },
} as const;

export type ClaimsName = keyof typeof claims;

type Parameters<Id extends OperationId, Place extends string> = Documented[Id] extends {
  parameters: { [P in Place]?: infer Values };
}
  ? [Values] extends [undefined | never]
    ? Record<string, never>
    : NonNullable<Values>
  : Record<string, never>;

type JsonBody<Id extends OperationId> = Documented[Id] extends { requestBody: { content: { "application/json": infer Body } } }
  ? Body
  : Documented[Id] extends { requestBody?: { content: { "application/json": infer Body } } }
    ? Body | undefined
    : undefined;

/** What a handler gets: everything validated, numbers and booleans of the query already converted. */
export type OperationInput<Id extends OperationId> = {
  path: Parameters<Id, "path">;
  query: Parameters<Id, "query">;
  body: JsonBody<Id>;
};

/**
 * What the contract describes, with every member named, also those that may be absent: a member that is added to the contract and
 * answered by nobody does not compile. What is `undefined` is left out of JSON.
 */
export type Whole<Shape> = Shape extends readonly (infer Item)[]
  ? Whole<Item>[]
  : Shape extends object
    ? {
        [Name in keyof Shape]-?: Record<never, never> extends Pick<Shape, Name>
          ? Whole<Shape[Name]> | undefined
          : Whole<Shape[Name]>;
      }
    : Shape;

/**
 * A body with a list that is too long to be held. It is written as it is read: `head`, then the list, page by page. The signal
 * says that nobody reads it any more.
 */
export type Streamed<Body> = {
  [List in keyof Body]: Body[List] extends readonly (infer Item)[]
    ? { head: Omit<Body, List>; list: List; pages: (signal: AbortSignal) => AsyncIterable<readonly Item[]> }
    : never;
}[keyof Body];

type AnswerBody<Body> = { body: Body } | (Body extends readonly unknown[] | string ? never : Stream<Streamed<Body>>);
type Stream<Kind> = [Kind] extends [never] ? never : { stream: Kind };

/** These follow from the route table, whatever the handler does. */
type HeadersOfRoute = "Deprecation" | "Sunset" | "Link";

/** Headers that an answer always has with the same value, unless the contract says otherwise at it. */
export const constantHeaders = {"X-Content-Type-Options":"nosniff","Cache-Control":"no-store"} as const;

/** Carries the identifier of each request. */
export const requestIdHeader = "X-Request-Id";

/** The headers of an answer that are its handler's concern: not those that the server gives to all. */
type OwnHeader<Name, Value> = string extends Name
  ? never
  : Name extends typeof requestIdHeader | HeadersOfRoute
    ? never
    : Name extends keyof typeof constantHeaders
      ? Value extends (typeof constantHeaders)[Name] ? never : Name
      : Name;
type AnswerHeaders<Headers> = { [Name in keyof Headers as OwnHeader<Name, Headers[Name]>]: Headers[Name] };

type WithHeaders<Headers> = keyof Headers extends never ? unknown : { headers: Headers };

/** An event of an answer that is streamed as server-sent events. */
export type ServerSentEvent = { id: number; event: string; data: object };
/** Sends events to a reader until it ends; answers what is to be done when the reader left or the feed has ended. */
export type EventFeed = (reader: { send(event: ServerSentEvent): void; end(): void }) => () => void;

/** Of an answer in several media types a header may belong to one of them only. */
type OfSome<Types, Headers> = IsUnion<Types> extends true ? Partial<Headers> : Headers;
type IsUnion<Types, Each = Types> = Types extends Each ? ([Each] extends [Types] ? false : true) : never;

type Answers<Responses> = {
  [Status in keyof Responses]: Responses[Status] extends { headers: infer Headers; content: infer Content }
    ? {
        [Type in keyof Content]: { status: Status; type: Type } & (Type extends "text/event-stream"
          ? { events: EventFeed }
          : Type extends `image/${string}`
            ? { body: Uint8Array }
            : AnswerBody<Whole<Content[Type]>>) &
          WithHeaders<OfSome<keyof Content, AnswerHeaders<Headers>>>;
      }[keyof Content]
    : Responses[Status] extends { headers: infer Headers }
      ? { status: Status } & WithHeaders<AnswerHeaders<Headers>>
      : never;
}[keyof Responses];

/** What a handler may answer: one of the documented statuses with its body. */
export type OperationOutput<Id extends OperationId> = Answers<Documented[Id]["responses"]>;

/** One handler per operation; a missing or mistyped one does not compile. */
export type Handlers<Context> = {
  [Id in OperationId]: (input: OperationInput<Id>, context: Context) => Promise<OperationOutput<Id>>;
};
