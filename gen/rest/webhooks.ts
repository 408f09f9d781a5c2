// Generated from the contract by scripts/generate.ts. Do not edit.
/** Every call that the platform makes, by the name of its webhook. */
export const webhooks = {
  "payInBank": {
    "word": "pay-in",
    "urls": [
      "pay_in",
      "base"
    ],
    "kinds": [
      "pay_in_bank",
      "pay_in_bank_reject"
    ],
    "claims": "PayInBankClaims",
    "form": "signed",
    "answers": {
      "408": "unanswered",
      "425": "unanswered",
      "429": "unanswered",
      "2XX": "accepted",
      "3XX": "unanswered",
      "4XX": "refused",
      "5XX": "unanswered"
    }
  },
  "payInMerchant": {
    "word": "pay-in",
    "urls": [
      "pay_in",
      "base"
    ],
    "kinds": [
      "pay_in_merchant",
      "pay_in_merchant_reject"
    ],
    "claims": "PayInMerchantClaims",
    "form": "signed",
    "answers": {
      "408": "unanswered",
      "425": "unanswered",
      "429": "unanswered",
      "2XX": "accepted",
      "3XX": "unanswered",
      "4XX": "refused",
      "5XX": "unanswered"
    }
  },
  "payOut": {
    "word": "pay-out",
    "urls": [
      "pay_out",
      "base"
    ],
    "kinds": [
      "pay_out"
    ],
    "claims": "PayOutClaims",
    "form": "signed",
    "answers": {
      "408": "unanswered",
      "425": "unanswered",
      "429": "unanswered",
      "2XX": "accepted",
      "3XX": "unanswered",
      "4XX": "refused",
      "5XX": "unanswered"
    }
  },
  "credit": {
    "word": "credit",
    "urls": [
      "credit",
      "base"
    ],
    "kinds": [
      "credit"
    ],
    "claims": "CreditClaims",
    "form": "signed",
    "answers": {
      "408": "unanswered",
      "425": "unanswered",
      "429": "unanswered",
      "2XX": "accepted",
      "3XX": "unanswered",
      "4XX": "refused",
      "5XX": "unanswered"
    }
  },
  "ping": {
    "word": "ping",
    "urls": [],
    "kinds": [],
    "claims": "PingClaims",
    "form": "signed",
    "answers": {
      "2XX": "accepted",
      "3XX": "unanswered",
      "4XX": "refused",
      "5XX": "unanswered"
    }
  },
  "expiration": {
    "word": "expiration",
    "urls": [
      "expiration",
      "base"
    ],
    "kinds": [
      "expiration"
    ],
    "claims": "ExpirationBody",
    "form": "open",
    "constants": {
      "amount_matched": "null",
      "callback_guid": "null",
      "code": 4001,
      "payment_message_external_id": "null",
      "payment_message_guid": "00000000-0000-0000-0000-000000000000",
      "purpose": "null",
      "reason": "Order is expired",
      "receiver_account_iban": "null",
      "ref_found": "null",
      "sender_account_iban": "null",
      "status": "reject"
    },
    "answers": {
      "408": "unanswered",
      "425": "unanswered",
      "429": "unanswered",
      "2XX": "accepted",
      "3XX": "unanswered",
      "4XX": "refused",
      "5XX": "unanswered"
    }
  },
  "grossSettlement": {
    "word": "gross-settlement",
    "urls": [
      "gross_settlement"
    ],
    "kinds": [
      "gross_settlement"
    ],
    "claims": "GrossSettlementClaims",
    "form": "signed",
    "answers": {
      "408": "unanswered",
      "425": "unanswered",
      "429": "unanswered",
      "2XX": "accepted",
      "3XX": "unanswered",
      "4XX": "refused",
      "5XX": "unanswered"
    }
  }
} as const;

/** The webhook of each kind of callback. */
export const webhookOf = {
  "pay_in_bank": "payInBank",
  "pay_in_bank_reject": "payInBank",
  "pay_in_merchant": "payInMerchant",
  "pay_in_merchant_reject": "payInMerchant",
  "pay_out": "payOut",
  "credit": "credit",
  "expiration": "expiration",
  "gross_settlement": "grossSettlement"
} as const;

/** Every kind of callback, in the order of the document. */
export const callbackKinds = [
  "pay_in_bank",
  "pay_in_bank_reject",
  "pay_in_merchant",
  "pay_in_merchant_reject",
  "pay_out",
  "credit",
  "expiration",
  "gross_settlement"
] as const;

/** The headers of every callback, by the component that describes each. */
export const callbackHeaders = {
  "CallbackAuthorizationHeader": "Cx-Authorization",
  "CallbackGuidHeader": "X-Callback-Guid",
  "CallbackKindHeader": "X-Callback-Kind"
} as const;

/** How a body is written. */
export const callbackBodies = {
  "envelope": {
    "type": "application/json",
    "member": "jwt",
    "maxChars": 1048576
  },
  "bare": {
    "type": "text/plain",
    "maxChars": 1048576
  },
  "open": {
    "type": "application/json"
  }
} as const;

/** The header by which a bank is let in. */
export const accessHeader = "Cx-Authorization" as const;
