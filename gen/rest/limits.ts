// Generated from the contract by scripts/generate.ts. Do not edit.
/** Every limit of the contract; the unit is the last word of a name, and what ends in Default or Max is a number of rows or an amount. */
export const limits = {
  requestBodyBytes: 65536,
  accessTokenAgeSeconds: 300,
  clockToleranceSeconds: 30,
  orderLifeDays: 366,
  keysAtOnce: 4,
  callbackPayments: 500,
  callbackPaymentsBytes: 524288,
  callbackAnswerBytes: 65536,
  answerSeconds: 10,
  amountMax: 999999999.99,
  registerTotalMax: 70368744177663.99,
  registersOffsetMax: 1000000,
  registersPageDefault: 50,
  registersPageMax: 500,
  registerPaymentsPageMax: 2000,
  callbacksPageDefault: 50,
  callbacksPageMax: 500,
  callbackTokenChars: 1048576,
  accessTokenChars: 8192,
  accessJtiChars: 64,
  uidChars: 64,
  refChars: 140,
  purposeChars: 420,
  orderUrlChars: 2000,
  jtiChars: 128,
  externalIdChars: 64,
  nameChars: 140,
  taxCodeChars: 20,
  ciphertextChars: 4096,
  encryptedKeyChars: 1368,
  pingProofs: 8,
} as const;

/** The form of a guid: what PostgreSQL reads as one, and nothing else that it would read, too. */
export const guidPattern = /^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$/;
