// Generated from the contract by scripts/generate.ts. Do not edit.
/** What a refusal says letter by letter, by its code. */
export const errorTexts = {
  "AUTHORIZATION_FAILED": "Access credentials are invalid",
  "TOKEN_REPLAYED": "Access credentials are invalid",
  "TOKEN_BODY_MISMATCH": "Access credentials are invalid",
  "TOKEN_INCOMPLETE": "Access credentials are invalid",
  "TOKEN_STALE": "Access credentials are invalid",
  "TOKEN_EXPIRED": "Access credentials are invalid",
  "TOKEN_NOT_YET_VALID": "Access credentials are invalid",
  "TOKEN_AUDIENCE": "Access credentials are invalid",
  "REF_IS_ALREADY_TAKEN": "order with provided ref already exists",
  "PAYMENT_MESSAGE_EXISTS": "payment message with provided order id already exists",
  "JTI_IS_ALREADY_TAKEN": "payment message with provided jti already exists",
  "PAYMENT_MESSAGE_NOT_FOUND": "not found",
  "REGISTER_NOT_FOUND": "not found"
} as const;

/** What an operation says otherwise. */
export const operationErrorTexts = {
  "getOrderForBank": {
    "ORDER_NOT_FOUND": "func GetMerchantsOrderNbuJSONHandler() failed. Error: failed to get order by ID: get order by guid err: order not found"
  }
} as const;
