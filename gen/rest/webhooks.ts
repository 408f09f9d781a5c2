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

/** What follows from the answer to each kind of callback. */
export const outcomeRows = {
  "pay_in_bank": {
    "accepted": {
      "retry": "never",
      "end": {
        "state": "delivered",
        "effect": "advance"
      }
    },
    "refused": {
      "retry": "never",
      "end": {
        "state": "failed",
        "effect": "reject_by_bank_answer"
      }
    },
    "unanswered": {
      "retry": "always",
      "end": {
        "state": "failed",
        "effect": "reject_by_bank_silence"
      }
    }
  },
  "pay_in_bank_reject": {
    "accepted": {
      "retry": "never",
      "end": {
        "state": "delivered",
        "effect": "none"
      }
    },
    "refused": {
      "retry": "always",
      "end": {
        "state": "review",
        "effect": "none"
      }
    },
    "unanswered": {
      "retry": "always",
      "end": {
        "state": "review",
        "effect": "none"
      }
    }
  },
  "pay_in_merchant": {
    "accepted": {
      "retry": "never",
      "end": {
        "state": "delivered",
        "effect": "succeed"
      }
    },
    "refused": {
      "retry": "never",
      "end": {
        "state": "failed",
        "effect": "reject_by_merchant_answer"
      }
    },
    "unanswered": {
      "retry": "always",
      "end": {
        "state": "failed",
        "effect": "reject_by_merchant_silence"
      }
    }
  },
  "pay_in_merchant_reject": {
    "accepted": {
      "retry": "never",
      "end": {
        "state": "delivered",
        "effect": "none"
      }
    },
    "refused": {
      "retry": "always",
      "end": {
        "state": "review",
        "effect": "none"
      }
    },
    "unanswered": {
      "retry": "always",
      "end": {
        "state": "review",
        "effect": "none"
      }
    }
  },
  "pay_out": {
    "accepted": {
      "retry": "never",
      "end": {
        "state": "delivered",
        "effect": "none"
      }
    },
    "refused": {
      "retry": "after_first_refusal",
      "end": {
        "state": "review",
        "effect": "none"
      }
    },
    "unanswered": {
      "retry": "always",
      "end": {
        "state": "review",
        "effect": "none"
      }
    }
  },
  "credit": {
    "accepted": {
      "retry": "never",
      "end": {
        "state": "delivered",
        "effect": "none"
      }
    },
    "refused": {
      "retry": "after_first_refusal",
      "end": {
        "state": "review",
        "effect": "none"
      }
    },
    "unanswered": {
      "retry": "always",
      "end": {
        "state": "review",
        "effect": "none"
      }
    }
  },
  "expiration": {
    "accepted": {
      "retry": "never",
      "end": {
        "state": "delivered",
        "effect": "none"
      }
    },
    "refused": {
      "retry": "always",
      "end": {
        "state": "review",
        "effect": "none"
      }
    },
    "unanswered": {
      "retry": "always",
      "end": {
        "state": "review",
        "effect": "none"
      }
    }
  },
  "gross_settlement": {
    "accepted": {
      "retry": "never",
      "end": {
        "state": "delivered",
        "effect": "none"
      }
    },
    "refused": {
      "retry": "always",
      "end": {
        "state": "review",
        "effect": "none"
      }
    },
    "unanswered": {
      "retry": "always",
      "end": {
        "state": "review",
        "effect": "none"
      }
    }
  }
} as const;

/** What the words of these rows mean. */
export const callbackWords = {
  "retry": {
    "never": "The first answer of this class ends the callback.",
    "after_first_refusal": "The first refusal is forgiven and followed by another attempt; the next one ends the callback.",
    "always": "Another attempt follows while the policy has any left."
  },
  "end": {
    "delivered": "The callback is done.",
    "failed": "The callback is over, and its payment is rejected with it.",
    "review": "People look at it together with the receiver; the payment's result stands."
  },
  "effect": {
    "none": "Nothing happens to the payment.",
    "advance": "The payment goes on to the merchant.",
    "succeed": "The payment is final; Pay-out and Credit follow.",
    "reject_by_bank_answer": "The payment is rejected because the recipient bank refused it; the order is canceled, and Pay-out and a Pay-in reject for the merchant follow.",
    "reject_by_bank_silence": "The payment is rejected because the recipient bank did not answer; the order is canceled, and Pay-out and a Pay-in reject for the bank and for the merchant follow.",
    "reject_by_merchant_answer": "The payment is rejected because the merchant refused it; the order is canceled, and Pay-out and a Pay-in reject for the bank follow.",
    "reject_by_merchant_silence": "The payment is rejected because the merchant did not answer; the order is canceled, and Pay-out and a Pay-in reject for the bank and for the merchant follow."
  }
} as const;

/** How often and when a callback is tried. */
export const retryPolicy = {
  "waits_seconds": [
    1,
    2,
    4,
    8,
    16,
    32,
    60
  ],
  "max_attempts": 11,
  "attempt_timeout_seconds": 10,
  "max_retry_after_seconds": 60,
  "token_life_seconds": 300
} as const;

/** Why payments, orders and callbacks say that they are as they are. */
export const reasons = {
  "RejectReason": {
    "bank_answer": "Payment message is rejected by the receiver's bank",
    "bank_silence": "No response on the callback from the receiver's bank",
    "merchant": "No response on the callback from the merchant"
  },
  "PayOutSuccessReason": "Payment message is approved by the receiver's bank. Merchant is informed by the callback",
  "CreditReason": "Credit is allowed",
  "PaymentMessageSuccessReason": "Payment message is approved",
  "OrderPaidReason": "Order is paid",
  "OrderExpiredReason": "Order is expired",
  "OrderCanceledReason": "Order is canceled by the merchant",
  "NoReason": ""
} as const;

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

/** The header by which a bank or merchant is let in. */
export const accessHeader = "Cx-Authorization" as const;
