// Generated from the contract by scripts/generate.ts. Do not edit.
export interface paths {
    "/api/v1/merchants/order": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Show the payment page
         * @description The page that the payer's browser opens. On a computer (`mobile=0`) it shows a QR code; on a phone (`mobile=1`) it lists the
         *     deep links of the banks that can pay the order. Without `mobile` the page suits the device that asks: a phone, by
         *     `Sec-CH-UA-Mobile` or else by `User-Agent`, gets the links, anything else the QR code. The QR code holds the order's
         *     `link_deeplinks`. An order that can no longer be paid is shown with its state, and why. The page follows the order to its end
         *     by itself where a browser runs its script, and has a link that reads it again where none does.
         *
         *     It is in Ukrainian or in English: as `lang` says, or else as the browser prefers (`Accept-Language`), or else in Ukrainian.
         *     Whoever asks for JSON (`Accept: application/json`) gets the order's state instead, as at `order/status`. Where there is no order
         *     to show, a browser (`Accept: text/html`) gets a page that says so in words, and a program the error as JSON.
         *
         *     A bank's link is its registered prefix followed by what it is registered for (`deep_link_content` of the emitters): the order's
         *     details as a JWT that the platform signs (`OrderDetailsClaims`), or the order's identifier. A bank verifies the JWT with
         *     the platform's published keys and goes on with its `id`. The token is that of `custom=true`, the same for all banks and at
         *     every view; only when the key that signed it has retired, it is signed again, so that whatever the page shows can be
         *     verified for at least a day.
         */
        get: operations["showPaymentPage"];
        put?: never;
        /**
         * Create an order
         * @description Creates the order that the merchant's signed token describes and answers the links for the payer. The token stands in the
         *     query (`jwt`) or, so that it stays out of access logs, in a JSON body. A body that has no token (none at all, `{}`, `null`, an
         *     empty text or an empty `jwt`) leaves that of the query in force; two equal ones are one; two different ones are refused. The
         *     token is the authentication: it is verified with the keys of the merchant named by its `sub` claim.
         *
         *     The same signed order again answers the first order again. The same `ref` with other content is refused.
         */
        post: operations["createOrder"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/merchants/order/status": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Read the status of an order
         * @description The state of an order for whoever knows its identifier; the identifier is the capability. Accounts are never shown here.
         */
        get: operations["getOrderStatus"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/merchants/order/events": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Follow an order to its end
         * @description Server-sent events for the payment page, or for a merchant's own: the order's state at once, and again at every change until it
         *     is over. Whoever knows the order's identifier may follow it; nothing but the state is told.
         *
         *     An event is named `state`, its data is an object whose `state` is one of `waiting` (it can be paid), `processing` (its payment
         *     message was accepted), `paid`, `rejected` (its payment message was), `expired` and `canceled` (by its merchant). The last four
         *     are final: after one of them the answer ends. Its `id` grows with the order's way: 1, 2, and 3 at the end.
         *
         *     While nothing happens comments are sent, and an answer ends after some minutes; `EventSource` then asks again by itself
         *     (`x-dcm-limits`: `streamCommentSeconds`, `streamLifeMinutes`, `streamRetrySeconds`, `orderStreams`). The state tells what
         *     happened and not that money moved: a merchant trusts its callback.
         */
        get: operations["followOrder"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/merchants/order/cancel": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Cancel an order that nobody has begun to pay
         * @description Ends an order before its `exp`: nobody can pay it any more, and no Expiration callback is sent for it. The token is the
         *     authentication, signed like an order: it is verified with the keys of the merchant named by its `sub` claim, and kept with the
         *     order. It may be old, but not from the future. An order's own token cancels nothing.
         *
         *     An order that is canceled or has expired is answered with its status, so the request can be repeated. Of a cancellation and a
         *     payment message at the same moment exactly one wins: either the payment message is refused (`ORDER_IS_EXPIRED`), or the
         *     cancellation (`ORDER_IS_BEING_PAID`).
         */
        post: operations["cancelOrder"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/merchants/emitters": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List the banks that can pay orders
         * @description The initiator banks with what a merchant needs to draw its own list of deep links.
         */
        get: operations["listEmitters"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/merchants/order/nbu/json": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Read an order before paying it
         * @description What the initiator bank needs to turn an order into a payment: the amount, the receiver's account, the purpose, and the
         *     recipient bank's public key, for which the personal data of the payment message is encrypted; and whether it can be paid at all
         *     (`status`). One of `id` and `order_id`
         *     must be given. Banks that can pay orders read every order, a bank without that role those of the merchants that it services.
         */
        get: operations["getOrderForBank"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/merchants/order/{order_id}/payment-message": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Read the payment message of an order
         * @description The payment message that was accepted for an order, for the two banks that are its sides.
         */
        get: operations["getPaymentMessageByOrder"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/counterparty/{counterparty_guid}/payment-message": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Submit a payment message
         * @description The initiator bank reports that the payer confirmed the payment and that the money is debited or blocked. An accepted
         *     message starts the cascade of callbacks: Pay-in to the recipient bank, Pay-in to the merchant, then Pay-out and Credit.
         *
         *     An order takes one payment message, ever. A retry of the same request, with a new `Cx-Authorization` or with the same one,
         *     is refused with the guid of the first message, so a lost answer is never a lost payment.
         */
        post: operations["submitPaymentMessage"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/payment_message": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Submit a payment message by the short path
         * @deprecated
         * @description The same as `submitPaymentMessage`, under a path of the older guide; new integrations use that one. The caller is found by the
         *     key identifier of its `Cx-Authorization` token, which is required here.
         */
        post: operations["submitPaymentMessageAlias"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/payment-message": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Submit a payment message by the short path with a hyphen
         * @deprecated
         * @description The same as `submitPaymentMessage`, under another path of the older guide; new integrations use that one. The caller is found by the
         *     key identifier of its `Cx-Authorization` token, which is required here.
         */
        post: operations["submitPaymentMessageHyphenAlias"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/counterparty/{counterparty_guid}/payment-message/{payment_message_guid}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Read a payment message
         * @description A payment message with its state, for the two banks that are its sides.
         */
        get: operations["getPaymentMessage"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/counterparty/{counterparty_guid}/gross-settlement": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List gross settlement registers
         * @description The registers that the bank is a side of, newest first, by their creation time. Without `from` and `to` it lists the last
         *     seven days. In a query the plus sign of a time offset must be written as `%2B`.
         */
        get: operations["listGrossSettlements"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/counterparty/{counterparty_guid}/gross-settlement/{register_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Read a gross settlement register
         * @description One register with its payments, for the two banks that are its sides. A register never changes its payments, and it may have very
         *     many: the whole answer is sent as it is read, and a reader that takes nothing for 30 seconds is cut off. With `payments_limit` it is
         *     read in pages: an answer with fewer payments than the limit is the last one.
         */
        get: operations["getGrossSettlement"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/counterparty/{counterparty_guid}/gross-settlement/pay/{register_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Pay a gross settlement register
         * @description The initiator bank states that it has paid the register on the local rails; the register is `Processing` until the payment is
         *     confirmed. `payment_message_external_id` names that transfer: it is used for one register, ever. The platform moves no money.
         *
         *     A retry is safe: the same payment again is answered 208 and changes nothing. A `status` says how a payment ended; it belongs to the
         *     confirmation and is refused here.
         */
        post: operations["payGrossSettlement"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/counterparty/{counterparty_guid}/gross-settlement/pay/{register_id}/confirm": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Confirm the payment of a gross settlement register
         * @description The initiator bank states how its payment ended. `ACSC` and `ACCC` are final: the register is `Paid`. After `RJCT` or `CANC` the
         *     register waits to be paid again, with a new `payment_message_external_id`.
         *
         *     A retry is safe: the same outcome again is answered 208. It is kept as well, as everything that is stated about a payment.
         */
        post: operations["confirmGrossSettlement"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/counterparty/{counterparty_guid}/gross-settlement/confirm_internal/{register_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Confirm an internal gross settlement register
         * @description The institution that is both banks of a register states that it is settled; the register is `Paid`. The request has no body: one
         *     that is sent is not read, and `body_sha256` is that of zero bytes.
         *     A retry is safe: it is answered 208.
         */
        post: operations["confirmInternalGrossSettlement"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/counterparty/{counterparty_guid}/keys": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Add a key of the bank
         * @description Adds a key to those that the bank has, as it has signed with one of them. The new key is good when the answer comes; the old
         *     ones stay until they are retired. A bank has at most four keys of one use at once, and at most two of one `kid`. The usual
         *     rotation: add the new key with `retire_others_at` some minutes ahead, sign with the new one from the answer on.
         *
         *     A retry is safe: a key that the bank has already is answered in the same way.
         */
        post: operations["addKey"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/counterparty/{counterparty_guid}/callbacks/missed": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List the callbacks that did not arrive
         * @description The bank's own callbacks that were not delivered since an instant: those still being retried after at least one failed
         *     attempt, those in manual review, and those that failed by the platform's own fault. Newest first.
         */
        get: operations["listMissedCallbacks"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/merchants/callbacks/missed": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List the merchant's callbacks that did not arrive
         * @description The merchant's own callbacks that were not delivered since an instant: those still being retried after at least one failed
         *     attempt, those in manual review, and those that failed by the platform's own fault. Newest first. Who asks is shown by a
         *     `Cx-Authorization` with the claim `iss`, the merchant's uid, signed with one of its keys like an order.
         */
        get: operations["listMerchantMissedCallbacks"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/logos/{sha256}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Read a participant's logo
         * @description The logo of a bank or merchant as the payment page shows it: copied when it was registered, and drawn anew by the platform as a
         *     PNG of at most 120 × 120 pixels. Its address contains its digest, so it can be remembered for ever.
         */
        get: operations["getLogo"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/.well-known/jwks.json": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Read the platform's public keys
         * @description The keys that verify the platform's callbacks and its `Cx-Authorization` tokens. There are several: of each algorithm one
         *     that signs, and while it is being replaced also the next one and the one before. The `kid` of a token says which it is.
         *
         *     Remember the set for as long as `Cache-Control` says. A new key is in it for at least that long before it signs, and a key
         *     stays in it for 24 hours after it has signed for the last time. Only a key that was compromised is replaced at once:
         *     read the set again when a token has a `kid` that you do not know, but never more often than once in ten seconds, whatever
         *     tokens come.
         */
        get: operations["getJwks"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/openapi.yaml": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Read this document as YAML
         * @description This document, as it is kept.
         */
        get: operations["getOpenapiYaml"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/openapi.json": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Read this document as JSON
         * @description This document, for tools that read JSON.
         */
        get: operations["getOpenapiJson"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/docs": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Read this document as a page
         * @description This document for people, on one page that loads nothing from elsewhere.
         */
        get: operations["getDocs"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/healthz": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Ask whether the process lives
         * @description Answers as long as the process can answer at all; it asks no dependency.
         */
        get: operations["getHealth"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/readyz": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Ask whether the process can work
         * @description Answers whether every dependency is there, and which one is missing.
         */
        get: operations["getReadiness"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/metrics": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Read the metrics
         * @description The process's metrics in the Prometheus text format. Only callers on loopback and in the networks that the deployment names
         *     read them; everybody else is told that there is no such path.
         */
        get: operations["getMetrics"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export interface webhooks {
    payInBank: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Pay-in for the recipient bank
         * @description The first callback of an accepted payment message. A 2xx answer lets the payment go on to the merchant; a 4xx answer rejects
         *     it at once. When the payment is rejected for another reason, because the merchant did not accept it or because no answer of
         *     the recipient bank arrived, the recipient bank gets the callback once more with status `reject`, so that it can release what
         *     it may have booked.
         */
        post: operations["payInBank"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    payInMerchant: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Pay-in for the merchant
         * @description Tells the merchant that its order is paid. A 2xx answer makes the payment final; a 4xx answer rejects it at once. The flags
         *     `amount_matched` and `ref_found` are advice: the merchant decides by its answer.
         *
         *     When the payment is rejected for another reason than such a 4xx answer, because no answer of the merchant arrived or because
         *     of the recipient bank, the merchant gets a callback of its own with status `reject` and the reason: its order is canceled. It
         *     comes also where the merchant had not been asked yet, and where the merchant accepted but its answer was lost. The answer to
         *     it changes nothing about the payment: 2xx ends it, anything else is retried and in the end handed to manual review.
         */
        post: operations["payInMerchant"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    payOut: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Pay-out for the initiator bank
         * @description Tells the initiator bank how the payment ended. Its answer changes nothing about the payment: a first 4xx answer is retried, a
         *     further one is handed to manual review.
         */
        post: operations["payOut"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    credit: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Credit for the recipient bank
         * @description Allows the recipient bank to credit the merchant before the settlement. Its answer changes nothing about the payment: a first
         *     4xx answer is retried, a further one is handed to manual review.
         */
        post: operations["credit"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    ping: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * A test of an address, and a proof of keys
         * @description Sent when an operator asks for it: at the registration of a participant, or to see whether an address works. It is about no
         *     payment. Any 2xx answer says that the address works, and nothing else has to be done.
         *
         *     A receiver that shows that the address and its keys belong together answers with the challenge, signed by each of its keys.
         */
        post: operations["ping"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    expiration: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Expiration for the merchant
         * @description Tells the merchant that its order ended unpaid. The body is open JSON, not a token; the claims of its `Cx-Authorization` header
         *     carry the body's SHA-256 digest in `body_sha256`.
         */
        post: operations["expiration"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    grossSettlement: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Gross settlement register for both banks
         * @description Hands a new gross settlement register to the two banks that are its sides, once; where both are one institution, and where the
         *     register is empty, there is one receiver. It is sent only to banks that are registered with a URL of its own for it
         *     (`gross_settlement`): their base URL is not used.
         */
        post: operations["grossSettlement"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export interface components {
    schemas: {
        /** @description A UUID in its usual form, 36 characters. */
        Guid: string;
        /** @description The six-digit code of a bank. */
        BankCode: string;
        /**
         * @description A Ukrainian IBAN (`UA2!n6!n19!c`): `UA`, two check digits, the six digits of the bank and 19 digits or capital letters of the
         *     account. Its check digits (ISO 7064) are verified.
         */
        Iban: string;
        /**
         * @description A text for people. It has no control characters (C0, DEL, C1) and no line or paragraph separators (U+2028, U+2029), and at
         *     least one character that is visible: white space and format characters alone are no text. Lengths count Unicode code points.
         *     The pattern lists the invisible characters of the basic plane; those of the others alone are refused as well, as is half of a
         *     surrogate pair.
         */
        PlainText: string;
        /**
         * @description An http or https URL that can be parsed (https://url.spec.whatwg.org), without a user name and password, white space and
         *     backslashes. Its length counts Unicode code points.
         */
        WebUrl: string;
        /** @description An ISO 4217 alphabetic code; the platform is configured with the currencies that it serves. */
        Currency: string;
        /** @description An amount in major units with at most two decimals, such as 21 or 1500.75. */
        Amount: number;
        /** @description An amount in major units with exactly two decimals, as a string. */
        AmountText: string;
        /**
         * Format: date-time
         * @description An instant in RFC 3339 form.
         */
        Instant: string;
        /**
         * @description A calendar date, or an instant in RFC 3339 form. An offset that is written after a `Z`, as in `2024-09-03T23:59:59Z03:00`, is
         *     read as an offset to the east.
         */
        DateOrInstant: string;
        /** @description Unix time in seconds, as a number or as a numeric string. */
        NumericDate: number | string;
        /** @description The day as ddmmyy, followed by an increment. */
        RegisterId: string;
        /** @description AES-256-GCM ciphertext with its 16-byte tag appended, in standard base64 with padding; only the recipient bank can read it. */
        EncryptedValue: string;
        /** @description A JSON Web Signature in compact form. */
        CompactJws: string;
        /** @description A JSON Web Signature in compact form, signed by the platform. It is never larger than 1 MiB. */
        CallbackJws: string;
        /** @description A token with CxAuthorizationClaims. */
        CxAuthorizationToken: string;
        /** @description A token with OrderClaims, signed by the merchant. An empty one is none. */
        OrderToken: string;
        /** @description An order's token in a body. It is required unless the query carries it. */
        OrderEnvelope: {
            jwt?: components["schemas"]["OrderToken"];
        };
        /** @description The token of an order's cancellation in a body. */
        OrderCancellationEnvelope: {
            /** @description A token with OrderCancellationClaims, signed by the merchant. */
            jwt: string;
        };
        /** @description A payment message's token in a body. */
        PaymentMessageEnvelope: {
            /** @description A token with PaymentMessageClaims, signed by the initiator bank. */
            jwt: string;
        };
        /**
         * @description A token with PaymentMessageClaims, signed by the initiator bank, as the whole body. White space around it means nothing, but it
         *     counts for `body_sha256` and for what makes a retry the same request.
         */
        BarePaymentMessage: string;
        /** @description A callback's token in a body. */
        PayInBankEnvelope: {
            /** @description A token with PayInBankClaims, signed by the platform. */
            jwt: string;
        };
        /** @description A callback's token in a body. */
        PayInMerchantEnvelope: {
            /** @description A token with PayInMerchantClaims, signed by the platform. */
            jwt: string;
        };
        /** @description A callback's token in a body. */
        PayOutEnvelope: {
            /** @description A token with PayOutClaims, signed by the platform. */
            jwt: string;
        };
        /** @description A callback's token in a body. */
        CreditEnvelope: {
            /** @description A token with CreditClaims, signed by the platform. */
            jwt: string;
        };
        /** @description A callback's token in a body. */
        GrossSettlementEnvelope: {
            /** @description A token with GrossSettlementClaims, signed by the platform. */
            jwt: string;
        };
        /**
         * @description The claims of the `Cx-Authorization` token of a bank's or a merchant's request or of a callback.
         * @example {
         *       "iat": 1707105971,
         *       "jti": "T12fa2213"
         *     }
         * @example {
         *       "iat": 1702203132,
         *       "jti": "0198c0de-0000-7000-8000-00000000c0de"
         *     }
         * @example {
         *       "iss": "https://api.admin.smaug.armenotech.dev",
         *       "aud": "623e460b-9ffd-41df",
         *       "iat": 1702203132,
         *       "exp": 1702203432,
         *       "jti": "f5401ac1-e6c8-436b-b311-991f57e0934b",
         *       "callback_kind": "expiration",
         *       "body_sha256": "j01ibqwc6zIKwa2yT8QWRQ-i3Dh1rMnkCnGk0gS3hvY"
         *     }
         * @example {
         *       "iss": "623e460b-9ffd-41df",
         *       "iat": 1707105971,
         *       "jti": "T12fa2214"
         *     }
         */
        CxAuthorizationClaims: {
            /** @description When the token was issued; accepted within 300 seconds. */
            iat: components["schemas"]["NumericDate"];
            /** @description An identifier of the token, unique for its issuer. */
            jti: string;
            /** @description When the token's validity begins; in the future, the token is refused (`TOKEN_NOT_YET_VALID`). */
            nbf?: components["schemas"]["NumericDate"];
            /**
             * @description The SHA-256 digest of the body's bytes in base64url without padding; a request without a body has zero bytes. In the token
             *     of a request it is optional unless its bank is registered as requiring it, and must match where it is there; in the token of
             *     an Expiration callback it is always there.
             */
            body_sha256?: string;
            /**
             * @description In the token of a merchant's request, the merchant's uid of 1 to 64 characters, without which nobody is known by it; in the
             *     token of an Expiration callback, the platform that signed it. In the token of a bank it is not read.
             */
            iss?: string;
            /**
             * @description Whom the token is for. In the token of a request it is optional, and names the platform by its public address or as `dcm`
             *     where it is there; in the token of an Expiration callback it is the merchant's uid.
             */
            aud?: string | string[];
            /**
             * @description When the token ends. In the token of a request it is optional and counts where it is there; in the token of an Expiration
             *     callback it is always there.
             */
            exp?: components["schemas"]["NumericDate"];
            /** @description In the token of an Expiration callback, `expiration`. */
            callback_kind?: components["schemas"]["CallbackKind"];
        };
        /** @description A new key of a bank. */
        NewKeyEnvelope: {
            /** @description A compact JWS of NewKeyClaims, signed by the bank with a key that it has. */
            jwt: string;
        };
        /**
         * @description A key that a bank adds to those that it has.
         * @example {
         *       "jwk": {
         *         "kty": "EC",
         *         "crv": "P-256",
         *         "x": "4SLZQRI8nbiLpUOoxJuKypgpwm5BLzp1zLhV_AVa9Ns",
         *         "y": "1drqdZuyfNEQLF1Op2v0XW_Q9p19ahkF0pcreqQX96E",
         *         "kid": "bank-2026-2",
         *         "alg": "ES256"
         *       },
         *       "retire_others_at": 1767225600
         *     }
         */
        NewKeyClaims: {
            /**
             * @description The public key. Its `kid` is the thumbprint of RFC 7638 where it has none; `use: enc` says that it is for the encryption of
             *     personal data alone.
             */
            jwk: Record<string, never>;
            /**
             * @description When the keys of the same use that the bank has already stop being good, in seconds. Without it they stay. An instant that
             *     has passed means at once: whatever the old keys have signed and is still on its way is refused then, a repeat of this
             *     request too.
             */
            retire_others_at?: components["schemas"]["NumericDate"];
        };
        /** @description The key that was added. */
        KeyAdded: {
            /** @description The key's identifier, by which tokens name it. */
            kid: string;
        };
        /**
         * @description What a merchant's order token says.
         * @example {
         *       "sub": "623e460b-9ffd-41df",
         *       "exp": 1719493881,
         *       "iat": 1707105971,
         *       "amt": 1000,
         *       "cur": "UAH",
         *       "ref": "d4ee06f",
         *       "prp": "Payment for goods/services",
         *       "url": "https://www.city24.com",
         *       "fri": {
         *         "frn": "Kyivpark LLC",
         *         "frc": "0987654321",
         *         "fra": "UA55386780956567",
         *         "frb": "300335",
         *         "frm": "7791"
         *       }
         *     }
         */
        OrderClaims: {
            /** @description The merchant's identifier, as it was given at registration; an opaque string. */
            sub: string;
            /** @description When the order expires, in seconds; later than now and at most 366 days ahead, unless the deployment says another number of days. */
            exp: components["schemas"]["NumericDate"];
            /** @description When the order was made, in seconds; not in the future. */
            iat: components["schemas"]["NumericDate"];
            /** @description The amount to pay. */
            amt: components["schemas"]["Amount"];
            /** @description The currency to pay in. */
            cur: components["schemas"]["Currency"];
            /** @description The order's number in the merchant's own books, unique for the merchant. */
            ref: components["schemas"]["PlainText"];
            /** @description What the payer pays for. */
            prp: components["schemas"]["PlainText"];
            /** @description Where the payer's browser returns to. */
            url: components["schemas"]["WebUrl"];
            /** @description Who finally gets the money, when that is not the merchant. */
            fri?: components["schemas"]["StatedBeneficiary"];
        };
        /**
         * @description What a merchant says to cancel an order.
         * @example {
         *       "sub": "623e460b-9ffd-41df",
         *       "order_id": "3aa202bc-6b20-445d-8969-8274b11c66d0",
         *       "iat": 1707109571
         *     }
         */
        OrderCancellationClaims: {
            /** @description The merchant's identifier, as in the order. */
            sub: string;
            /** @description The identifier that the platform gave the order. */
            order_id: components["schemas"]["Guid"];
            /** @description When the merchant canceled it, in seconds; not in the future. */
            iat: components["schemas"]["NumericDate"];
        };
        /** @description The final receiver of an order's money, as the merchant states it. */
        StatedBeneficiary: {
            /** @description The beneficiary's name. */
            frn: components["schemas"]["PlainText"];
            /** @description The beneficiary's tax number. */
            frc: components["schemas"]["PlainText"];
            /** @description The beneficiary's account; only its shape is checked. */
            fra: string;
            /** @description The code of the bank that keeps the account. */
            frb: components["schemas"]["BankCode"];
            /** @description The beneficiary's merchant category code. */
            frm: string;
        };
        /** @description The final receiver of an order's money, as the order says. */
        UltimateBeneficiary: {
            /** @description The beneficiary's name. */
            frn: string;
            /** @description The beneficiary's tax number. */
            frc: string;
            /** @description The beneficiary's account. */
            fra: string;
            /** @description The code of the bank that keeps the account. */
            frb: string;
            /** @description The beneficiary's merchant category code. */
            frm: string;
        };
        /** @description The order's identifier and links. */
        OrderCreated: {
            /** @description The order's identifier. */
            id: components["schemas"]["Guid"];
            /** @description The payment page for a phone. */
            link_deeplinks: string;
            /** @description The payment page for a computer. */
            link_qr: string;
            /**
             * @description The order's details signed by the platform; only with `custom=true`. It is the token of the payment page, and the same at a
             *     repeat until the key that signed it has retired.
             */
            jwt?: string;
        };
        /** @description What an order says, whatever becomes of it. */
        OrderDetails: {
            /** @description The order's identifier. */
            id: components["schemas"]["Guid"];
            /** @description When the order expires, in Unix seconds. */
            exp: number;
            /** @description The amount to pay. */
            amt: components["schemas"]["Amount"];
            /** @description The currency to pay in. */
            cur: components["schemas"]["Currency"];
            /** @description The order's number in the merchant's books. */
            ref: string;
            /** @description What the payer pays for. */
            prp: string;
            /** @description The merchant's identifier. */
            uid: string;
            /** @description The receiver's name. */
            recn: string;
            /** @description The receiver's tax number. */
            recc: string;
            /** @description The receiver's account. */
            acc: components["schemas"]["Iban"];
            /** @description The merchant category code, as a number. */
            mcc: number;
            /** @description The merchant's logo, if it has one. */
            logo_url?: string;
            /** @description The code of the recipient bank. */
            bic: components["schemas"]["BankCode"];
            /** @description Who finally gets the money, when that is not the merchant. */
            fri?: components["schemas"]["UltimateBeneficiary"];
        };
        /** @description An order as the initiator bank sees it. */
        OrderForBank: components["schemas"]["OrderDetails"] & {
            /** @description The recipient bank's key, for which personal data is encrypted. */
            public_key?: components["schemas"]["Jwk"];
            /**
             * @description Where the order stands by the platform's clock. Only an order that is `Created` can be paid: a payer must not be debited
             *     for any other.
             */
            status: components["schemas"]["OrderState"];
        };
        /**
         * @description What the platform signs of an order for deep links. It tells the bank which order to read (`id`) and what to show until then;
         *     what is paid is what the order says when the bank reads it. Where the order stands (`status`) is not among it, for a signature
         *     outlives that, nor is `public_key`.
         * @example {
         *       "id": "3aa202bc-6b20-445d-8969-8274b11c66d0",
         *       "exp": 1719493881,
         *       "amt": 1000,
         *       "cur": "UAH",
         *       "ref": "d4ee06f",
         *       "prp": "Payment for goods/services",
         *       "uid": "623e460b-9ffd-41df",
         *       "recn": "City24 LLC",
         *       "recc": "12345678",
         *       "acc": "UA761372924114433543273694797",
         *       "mcc": 5999,
         *       "logo_url": "https://www.city24.com/logo.svg",
         *       "bic": "380816",
         *       "fri": {
         *         "frn": "Kyivpark LLC",
         *         "frc": "0987654321",
         *         "fra": "UA55386780956567",
         *         "frb": "300335",
         *         "frm": "7791"
         *       },
         *       "iat": 1707105972
         *     }
         */
        OrderDetailsClaims: components["schemas"]["OrderDetails"] & {
            /** @description When the platform signed it, in Unix seconds. */
            iat: number;
        };
        /** @description An order's state. */
        OrderStatus: {
            /** @description The order's amount. */
            amount: components["schemas"]["Amount"];
            /** @description Whether the payment message has the order's amount; false while there is none. */
            amount_matched: boolean;
            /** @description Always null here. */
            callback_guid: null;
            /** @description Always null here. */
            code: null;
            /** @description The order's currency. */
            currency: components["schemas"]["Currency"];
            /** @description The order's identifier. */
            order_id: components["schemas"]["Guid"];
            /**
             * @description Always empty here.
             * @constant
             */
            payment_message_external_id: "";
            /** @description The payment message's identifier; all zeroes while there is none. */
            payment_message_guid: components["schemas"]["Guid"];
            /** @description The order's purpose. */
            purpose: string;
            /** @description Why the order has its state; empty while nothing has happened. */
            reason: components["schemas"]["NoReason"] | components["schemas"]["OrderPaidReason"] | components["schemas"]["OrderExpiredReason"] | components["schemas"]["OrderCanceledReason"] | components["schemas"]["RejectReason"];
            /**
             * @description Always empty here.
             * @constant
             */
            receiver_account_iban: "";
            /** @description Always null here. */
            ref_found: null;
            /** @description The order's number in the merchant's books. */
            ref_number: string;
            /**
             * @description Always empty here.
             * @constant
             */
            sender_account_iban: "";
            /** @description The order's state. */
            status: components["schemas"]["OrderState"];
        };
        /**
         * @description Where an order stands. From its expiry on an order that nobody has begun to pay is `Canceled`.
         * @enum {string}
         */
        OrderState: "Created" | "In Progress" | "Success" | "Canceled";
        /** @description The answer to the status of an order that does not exist. */
        EmptyObject: Record<string, never>;
        /** @description An initiator bank that can be opened by a deep link. */
        Emitter: {
            /** @description The bank's name. */
            name: string;
            /** @description The bank's code. */
            bic: components["schemas"]["BankCode"];
            /** @description The bank's logo, if it has one. */
            logo_url?: string;
            /** @description What opens the bank's application when what `deep_link_content` says is appended. */
            deeplink_prefix: string;
            /**
             * @description What a link to the bank carries after the prefix.
             * @enum {string}
             */
            deep_link_content: "signed_order" | "order_id";
        };
        /**
         * @description What a bank's payment message token says.
         * @example {
         *       "jti": "T12fa2213",
         *       "payment_message_external_id": "112663",
         *       "amount": 5,
         *       "currency": "UAH",
         *       "debtor_agent_bic": "306500",
         *       "debtor": {
         *         "debtor_name": "ZCLVw5/97gExFK9hMj7fZEYqFrhxPbaRcHWCixYW",
         *         "debtor_id": "GXWVnsvrjFJ6RVFB5Obs9OelCQErNJ7nVq8=",
         *         "debtor_account": "UA761372924114433543273694797",
         *         "debtor_phone": "+380661234567"
         *       },
         *       "creditor_agent_bic": "380816",
         *       "creditor": {
         *         "creditor_name": "ay7S08zpmyYPNhuO++3CyvbYZ0Oa/zPRCHQ=",
         *         "creditor_id": "GXWVnsvrjFL2N2iNVXmSItUNgE/AYOGb",
         *         "creditor_account": "UA761372924114433543273694797"
         *       },
         *       "order_id": "bb95a18f-bd52-46ae-bb1e-0e6f42bf48f5",
         *       "purpose": "Tesgtft777",
         *       "msg_creation_date": "2023-12-10",
         *       "msg_creation_time": "14:30:12",
         *       "pm_type": "trade",
         *       "sender_account_type": "limit-related",
         *       "encryption": {
         *         "nonce": "2mBTO9z3IO0/AV4a",
         *         "encrypted_key": "dRFEoa39fJ+GCfuXFSiBEi0ptExyuVpRIxmRwKQaDfJ9pULIhixKEeDnOTzRHjegCy2qdY58DSulgdU2Z9ctV8UwuTjrVr1m8q4tEBOgLq10SJizzM9Y6peQKiYaOJc4EJ+OgRZGqwMaywsMTwBtEf5e6kjYcnGCYJbXz33U4zUPyoDv9XH8JjLPPwL/54UUxZJ+W3xIB880VMvFOgzWrVOqspiFY92ncdnaca8cYM0atix62u51Oos5z/KsEnRIbZ5TEW6L8fEb6YUviM05h8ibpdGm8OoukwME2cSmMADZ6MTHwGFuXoIo/e7L49zUD8au/72hgIG98sHc5x+qDQ=="
         *       }
         *     }
         */
        PaymentMessageClaims: {
            /** @description The token's identifier, unique for the bank. */
            jti: components["schemas"]["PlainText"];
            /** @description The payment's identifier in the bank's own books, unique for the bank. */
            payment_message_external_id: components["schemas"]["PlainText"];
            /** @description The amount that was paid; it need not be the order's. */
            amount: components["schemas"]["Amount"];
            /** @description The currency that was paid in. */
            currency: components["schemas"]["Currency"];
            /** @description The calling bank's own code. */
            debtor_agent_bic: components["schemas"]["BankCode"];
            /** @description The payer. */
            debtor: {
                /** @description The payer's name, encrypted. */
                debtor_name: components["schemas"]["EncryptedValue"];
                /** @description The payer's tax number, encrypted. */
                debtor_id: components["schemas"]["EncryptedValue"];
                /** @description The payer's account. */
                debtor_account: components["schemas"]["Iban"];
                /** @description The payer's phone number with its country code; it is never handed on. */
                debtor_phone?: string;
            };
            /** @description The code of the recipient bank, which must be the one of the order's merchant. */
            creditor_agent_bic: components["schemas"]["BankCode"];
            /** @description The receiver. */
            creditor: {
                /** @description The receiver's name, encrypted. */
                creditor_name: components["schemas"]["EncryptedValue"];
                /** @description The receiver's tax number, encrypted. */
                creditor_id: components["schemas"]["EncryptedValue"];
                /** @description The receiver's account, which must be the one of the order's merchant. */
                creditor_account: components["schemas"]["Iban"];
            };
            /** @description The order that was paid. */
            order_id: components["schemas"]["Guid"];
            /** @description The payment's purpose as the payer's bank has it; it need not be the order's. */
            purpose: components["schemas"]["PlainText"];
            /**
             * Format: date
             * @description The date on which the bank made the message, in Kyiv.
             */
            msg_creation_date: string;
            /** @description The time at which the bank made the message, in Kyiv. */
            msg_creation_time: string;
            /** @description What kind of payment it is. */
            pm_type: components["schemas"]["PaymentType"];
            /** @description What kind of account the payer pays from; `aid-related` goes with payments of type `aid` only. */
            sender_account_type: components["schemas"]["SenderAccountType"];
            /** @description How the personal data is encrypted. */
            encryption: components["schemas"]["Encryption"];
        };
        /**
         * @description What kind of payment it is.
         * @enum {string}
         */
        PaymentType: "trade" | "p2p" | "return" | "aid";
        /**
         * @description What kind of account the payer pays from.
         * @enum {string}
         */
        SenderAccountType: "limit-related" | "aid-related";
        /** @description The parameters of the encryption of personal data. */
        Encryption: {
            /** @description The 12-byte nonce in base64. */
            nonce: string;
            /**
             * @description The message's AES-256 key, encrypted by RSA-OAEP with SHA-256 for the recipient bank, in standard base64 with padding. It is
             *     as long as the modulus of the bank's key: 344 characters for 2048 bits.
             */
            encrypted_key: string;
            /**
             * @description The `kid` of the recipient bank's key that was used, which is the `public_key` of the order as it was read. Without it the
             *     order's key counts: the one of its creation or, once that is retired, the bank's current one. A key that the bank has not
             *     had since the order was made is refused.
             */
            kid?: string;
        };
        /** @description The accepted payment message. */
        PaymentMessageCreated: {
            /** @description The payment message's identifier. */
            guid: components["schemas"]["Guid"];
        };
        /** @description A payment message as the two banks see it, without the payer's phone. */
        PaymentMessageDetails: {
            /** @description The token's identifier, as the initiator bank gave it. */
            jti: string;
            /** @description The payment's identifier in the initiator bank's books. */
            payment_message_external_id: string;
            /** @description The amount that was paid. */
            amount: components["schemas"]["Amount"];
            /** @description The currency that was paid in. */
            currency: components["schemas"]["Currency"];
            /** @description The initiator bank. */
            debtor_agent: {
                /** @description The initiator bank's name. */
                debtor_agent_name: string;
                /** @description The initiator bank's code. */
                debtor_agent_bic: components["schemas"]["BankCode"];
            };
            /** @description The payer. */
            debtor: {
                /** @description The payer's name, encrypted. */
                debtor_name: string;
                /** @description The payer's tax number, encrypted. */
                debtor_id: string;
                /** @description The payer's account. */
                debtor_account: components["schemas"]["Iban"];
            };
            /** @description The recipient bank. */
            creditor_agent: {
                /** @description The recipient bank's name. */
                creditor_agent_name: string;
                /** @description The recipient bank's code. */
                creditor_agent_bic: components["schemas"]["BankCode"];
            };
            /** @description The receiver. */
            creditor: {
                /** @description The receiver's name, encrypted. */
                creditor_name: string;
                /** @description The receiver's tax number, encrypted. */
                creditor_id: string;
                /** @description The receiver's account. */
                creditor_account: components["schemas"]["Iban"];
                /** @description The merchant's identifier. */
                creditor_uid: string;
            };
            /** @description Who finally gets the money, when the order names somebody. */
            ultimate_creditor?: {
                /** @description The beneficiary's name. */
                ultimate_creditor_name: string;
                /** @description The beneficiary's tax number. */
                ultimate_creditor_id: string;
                /** @description The beneficiary's account. */
                ultimate_creditor_iban: string;
                /** @description The code of the bank that keeps the account. */
                ultimate_creditor_bic: string;
                /** @description The beneficiary's merchant category code. */
                ultimate_creditor_mcc: string;
            };
            /** @description The order that was paid. */
            order_id: components["schemas"]["Guid"];
            /** @description The payment's purpose. */
            purpose: string;
            /**
             * Format: date
             * @description The date on which the initiator bank made the message, in Kyiv.
             */
            msg_creation_date: string;
            /** @description The time at which the initiator bank made the message, in Kyiv. */
            msg_creation_time: string;
            /** @description What kind of payment it is. */
            pm_type: components["schemas"]["PaymentType"];
            /** @description What kind of account the payer pays from. */
            sender_account_type: components["schemas"]["SenderAccountType"];
            /** @description How the personal data is encrypted. */
            encryption: components["schemas"]["Encryption"];
            /** @description The recipient bank's public key, for which the personal data was encrypted; `alg` is given in callbacks only. */
            public_key: components["schemas"]["Jwk"];
        };
        /** @description A payment message with its state. */
        PaymentMessageWithStatus: components["schemas"]["PaymentMessageDetails"] & {
            /**
             * @description The message's state.
             * @enum {string}
             */
            status: "pending" | "success" | "reject";
            /** @description A comment on the state; empty while the callbacks are running. */
            reason: components["schemas"]["NoReason"] | components["schemas"]["PaymentMessageSuccessReason"] | components["schemas"]["RejectReason"];
            /** @description The payment message's identifier. */
            guid: components["schemas"]["Guid"];
        };
        /** @description The claims that every callback token has beside its own; a receiver may ignore them. */
        CallbackClaims: {
            /** @description The platform that signed the token. */
            iss?: string;
            /** @description The receiver's guid or, for a merchant, its uid. */
            aud?: string;
            /** @description When this attempt's token was signed, in Unix seconds. */
            iat?: number;
            /** @description When this attempt's token ends, in Unix seconds. */
            exp?: number;
            /** @description The callback's identifier, the same in every retry. */
            jti?: string;
            /** @description What the callback tells, so that one kind cannot be shown to a receiver as another. */
            callback_kind?: components["schemas"]["CallbackKind"];
        };
        /**
         * @description What a callback tells.
         * @enum {string}
         */
        CallbackKind: "pay-in" | "pay-out" | "credit" | "expiration" | "gross-settlement" | "ping";
        /**
         * @description How the payment ended, as far as this callback knows.
         * @enum {string}
         */
        CallbackStatus: "success" | "reject";
        /** @description A test of an address. */
        PingEnvelope: {
            /** @description A compact JWS of PingClaims, signed by the platform. */
            jwt: string;
        };
        /**
         * @description The claims of a test.
         * @example {
         *       "challenge": "b2e1c0oPtJdmMfgk2uPS0Wb4e8nYvXbhxP6m3Kq1r5s",
         *       "iss": "https://api.admin.smaug.armenotech.dev",
         *       "aud": "4f0d6c1e-7f0b-4c8f-9a53-0a7b5d8f3c21",
         *       "iat": 1702203132,
         *       "exp": 1702203432,
         *       "jti": "f5401ac1-e6c8-436b-b311-991f57e0934b",
         *       "callback_kind": "ping"
         *     }
         */
        PingClaims: components["schemas"]["CallbackClaims"] & {
            /** @description 32 random bytes in base64url, new for every test. */
            challenge: string;
        };
        /** @description What shows that an address and keys belong together. */
        PingProof: {
            /** @description For each key of the receiver a compact JWS of PingProofClaims, signed by it. */
            jwts?: string[];
        };
        /**
         * @description What a receiver signs with each of its keys.
         * @example {
         *       "challenge": "b2e1c0oPtJdmMfgk2uPS0Wb4e8nYvXbhxP6m3Kq1r5s"
         *     }
         */
        PingProofClaims: {
            /** @description The challenge of the test, letter by letter. */
            challenge: string;
        };
        /**
         * @description Why a payment was rejected, letter by letter.
         * @enum {string}
         */
        RejectReason: "Payment message is rejected by the receiver's bank" | "No response on the callback from the receiver's bank" | "No response on the callback from the merchant";
        /**
         * @description What Pay-out says of a payment that is final, letter by letter.
         * @constant
         */
        PayOutSuccessReason: "Payment message is approved by the receiver's bank. Merchant is informed by the callback";
        /**
         * @description What Credit says, letter by letter.
         * @constant
         */
        CreditReason: "Credit is allowed";
        /**
         * @description What a payment message that is final says when it is read, letter by letter.
         * @constant
         */
        PaymentMessageSuccessReason: "Payment message is approved";
        /**
         * @description What an order that is paid says, letter by letter.
         * @constant
         */
        OrderPaidReason: "Order is paid";
        /**
         * @description What an order says that nobody paid in time, letter by letter.
         * @constant
         */
        OrderExpiredReason: "Order is expired";
        /**
         * @description What an order says that its merchant has canceled, letter by letter.
         * @constant
         */
        OrderCanceledReason: "Order is canceled by the merchant";
        /**
         * @description Nothing has happened that would have a reason.
         * @constant
         */
        NoReason: "";
        /**
         * @description The claims of the Pay-in callback for the recipient bank.
         * @example {
         *       "payment_message": {
         *         "jti": "T12fa2213",
         *         "payment_message_external_id": "112663",
         *         "amount": 5,
         *         "currency": "UAH",
         *         "debtor_agent": {
         *           "debtor_agent_name": "TPN Bank",
         *           "debtor_agent_bic": "306500"
         *         },
         *         "debtor": {
         *           "debtor_name": "ZCLVw5/97gExFK9hMj7fZEYqFrhxPbaRcHWCixYW",
         *           "debtor_id": "GXWVnsvrjFJ6RVFB5Obs9OelCQErNJ7nVq8=",
         *           "debtor_account": "UA761372924114433543273694797"
         *         },
         *         "creditor_agent": {
         *           "creditor_agent_name": "Second Bank",
         *           "creditor_agent_bic": "380816"
         *         },
         *         "creditor": {
         *           "creditor_name": "ay7S08zpmyYPNhuO++3CyvbYZ0Oa/zPRCHQ=",
         *           "creditor_id": "GXWVnsvrjFL2N2iNVXmSItUNgE/AYOGb",
         *           "creditor_account": "UA761372924114433543273694797",
         *           "creditor_uid": "bb95a18f-bd52-46ae-bb1e-0e6f42bf48f5"
         *         },
         *         "ultimate_creditor": {
         *           "ultimate_creditor_name": "Global Payments Ltd.",
         *           "ultimate_creditor_id": "0012345678",
         *           "ultimate_creditor_iban": "UA723445993115212345678",
         *           "ultimate_creditor_bic": "300650",
         *           "ultimate_creditor_mcc": "1234"
         *         },
         *         "order_id": "a38c4e9a-ee54-4e3c-90a4-d6af5e39cfc7",
         *         "purpose": "Tesgtft777",
         *         "msg_creation_date": "2023-12-10",
         *         "msg_creation_time": "12:12:12",
         *         "pm_type": "trade",
         *         "sender_account_type": "aid-related",
         *         "encryption": {
         *           "nonce": "2mBTO9z3IO0/AV4a",
         *           "encrypted_key": "dRFEoa39fJ+GCfuXFSiBEi0ptExyuVpRIxmRwKQaDfJ9pULIhixKEeDnOTzRHjegCy2qdY58DSulgdU2Z9ctV8UwuTjrVr1m8q4tEBOgLq10SJizzM9Y6peQKiYaOJc4EJ+OgRZGqwMaywsMTwBtEf5e6kjYcnGCYJbXz33U4zUPyoDv9XH8JjLPPwL/54UUxZJ+W3xIB880VMvFOgzWrVOqspiFY92ncdnaca8cYM0atix62u51Oos5z/KsEnRIbZ5TEW6L8fEb6YUviM05h8ibpdGm8OoukwME2cSmMADZ6MTHwGFuXoIo/e7L49zUD8au/72hgIG98sHc5x+qDQ=="
         *         },
         *         "public_key": {
         *           "alg": "RS256",
         *           "e": "AQAB",
         *           "n": "ruViM21_RGTpqnRJjIy6uxk_sWWkaMLOjnJudY7zNr2kVoyh2u2nYOMnsZj8yd7K-59DxJ02kaaAja2eGcOp1bp2H1iz4mnLGolvyMcnDmWhr_FoXf59Alk2xOasy966fabKnXCB_aywjKgsbTsoA8pqSDnxy5cn4KPY_RiBj9DcqyzIm1_vz7ini36ZqnO48nPTOIGqnOuX_OvSJD_gL6JSBT7jXf9rS3ocmLByM972bFDSwzgNVKK3iJkbLgCLQJvggaaUZKFsih6lf16duz4hY4-yI9QoM7jbbizAk88DeU_GiGvVlOC_OdX1onUJFlKinl6l2Dc_2ujm1GYBBw",
         *           "kid": "9A21DD62-DA56-402D-87A5-4714B113DAD4",
         *           "kty": "RSA",
         *           "use": "sig"
         *         }
         *       },
         *       "payment_message_guid": "8af3c3f5-7543-4bc2-8a0f-2e27f4d16972",
         *       "status": "success",
         *       "iss": "https://api.admin.smaug.armenotech.dev",
         *       "aud": "4f0d6c1e-7f0b-4c8f-9a53-0a7b5d8f3c21",
         *       "iat": 1702203132,
         *       "exp": 1702203432,
         *       "jti": "f5401ac1-e6c8-436b-b311-991f57e0934b",
         *       "callback_kind": "pay-in"
         *     }
         */
        PayInBankClaims: components["schemas"]["CallbackClaims"] & {
            /** @description The payment message. */
            payment_message: components["schemas"]["PaymentMessageDetails"];
            /** @description The payment message's identifier. */
            payment_message_guid: components["schemas"]["Guid"];
            /** @description `success` when the payment arrives, `reject` when it is canceled afterwards. */
            status: components["schemas"]["CallbackStatus"];
            /** @description Why the payment was canceled; only with `reject`. */
            reason?: components["schemas"]["RejectReason"];
        };
        /**
         * @description The claims of the Pay-in callback for the merchant.
         * @example {
         *       "payment_message_external_id": "9c6c746b-d9cf-4ea2-b9b6-bd984e3863cd",
         *       "payment_message_guid": "f5401ac1-e6c8-436b-b311-991f57e0934b",
         *       "callback_guid": "f5401ac1-e6c8-436b-b311-991f57e0934b",
         *       "amount": 21,
         *       "currency": "UAH",
         *       "sender_account_iban": "UA623808162831885412078690000",
         *       "receiver_account_iban": "UA063808160041469948322523389",
         *       "order_id": "86f43098-d184-4cb1-8d9b-9720a8c4931e",
         *       "ref_found": true,
         *       "ref_number": "1730204505657",
         *       "amount_matched": false,
         *       "purpose": "1730204505640",
         *       "status": "success",
         *       "iss": "https://api.admin.smaug.armenotech.dev",
         *       "aud": "623e460b-9ffd-41df",
         *       "iat": 1702203132,
         *       "exp": 1702203432,
         *       "jti": "f5401ac1-e6c8-436b-b311-991f57e0934b",
         *       "callback_kind": "pay-in"
         *     }
         * @example {
         *       "payment_message_external_id": "9c6c746b-d9cf-4ea2-b9b6-bd984e3863cd",
         *       "payment_message_guid": "f5401ac1-e6c8-436b-b311-991f57e0934b",
         *       "callback_guid": "f5401ac1-e6c8-436b-b311-991f57e0934b",
         *       "amount": 21,
         *       "currency": "UAH",
         *       "sender_account_iban": "UA623808162831885412078690000",
         *       "receiver_account_iban": "UA063808160041469948322523389",
         *       "order_id": "86f43098-d184-4cb1-8d9b-9720a8c4931e",
         *       "ref_found": true,
         *       "ref_number": "1730204505657",
         *       "amount_matched": false,
         *       "purpose": "1730204505640",
         *       "status": "reject",
         *       "reason": "No response on the callback from the merchant",
         *       "iss": "https://api.admin.smaug.armenotech.dev",
         *       "aud": "623e460b-9ffd-41df",
         *       "iat": 1702203132,
         *       "exp": 1702203432,
         *       "jti": "f5401ac1-e6c8-436b-b311-991f57e0934b",
         *       "callback_kind": "pay-in"
         *     }
         */
        PayInMerchantClaims: components["schemas"]["CallbackClaims"] & {
            /** @description The payment's identifier in the initiator bank's books. */
            payment_message_external_id: string;
            /** @description The payment message's identifier. */
            payment_message_guid: components["schemas"]["Guid"];
            /** @description The callback's identifier. */
            callback_guid: components["schemas"]["Guid"];
            /** @description The amount that was paid. */
            amount: components["schemas"]["Amount"];
            /** @description The currency that was paid in. */
            currency: components["schemas"]["Currency"];
            /** @description The payer's account. */
            sender_account_iban: components["schemas"]["Iban"];
            /** @description The receiver's account. */
            receiver_account_iban: components["schemas"]["Iban"];
            /** @description The order that was paid. */
            order_id: components["schemas"]["Guid"];
            /** @description Whether the payment's purpose is the order's, or contains the order's number. */
            ref_found: boolean;
            /** @description The order's number in the merchant's books. */
            ref_number: string;
            /** @description Whether the payment's amount is the order's. */
            amount_matched: boolean;
            /** @description The payment's purpose. */
            purpose: string;
            /** @description `success` for a payment that the merchant is asked about, `reject` when the payment is rejected and its order canceled. */
            status: components["schemas"]["CallbackStatus"];
            /** @description Why the payment was rejected, in the words that the initiator bank gets in Pay-out; only with `reject`. */
            reason?: components["schemas"]["RejectReason"];
        };
        /**
         * @description The claims of the Pay-out callback for the initiator bank.
         * @example {
         *       "payment_message": {
         *         "jti": "T12fa2213",
         *         "payment_message_external_id": "112663",
         *         "amount": 5,
         *         "currency": "UAH",
         *         "debtor_agent": {
         *           "debtor_agent_name": "TPN Bank",
         *           "debtor_agent_bic": "306500"
         *         },
         *         "debtor": {
         *           "debtor_name": "ZCLVw5/97gExFK9hMj7fZEYqFrhxPbaRcHWCixYW",
         *           "debtor_id": "GXWVnsvrjFJ6RVFB5Obs9OelCQErNJ7nVq8=",
         *           "debtor_account": "UA761372924114433543273694797"
         *         },
         *         "creditor_agent": {
         *           "creditor_agent_name": "Second Bank",
         *           "creditor_agent_bic": "380816"
         *         },
         *         "creditor": {
         *           "creditor_name": "ay7S08zpmyYPNhuO++3CyvbYZ0Oa/zPRCHQ=",
         *           "creditor_id": "GXWVnsvrjFL2N2iNVXmSItUNgE/AYOGb",
         *           "creditor_account": "UA761372924114433543273694797",
         *           "creditor_uid": "bb95a18f-bd52-46ae-bb1e-0e6f42bf48f5"
         *         },
         *         "ultimate_creditor": {
         *           "ultimate_creditor_name": "Global Payments Ltd.",
         *           "ultimate_creditor_id": "0012345678",
         *           "ultimate_creditor_iban": "UA723445993115212345678",
         *           "ultimate_creditor_bic": "300650",
         *           "ultimate_creditor_mcc": "1234"
         *         },
         *         "order_id": "a38c4e9a-ee54-4e3c-90a4-d6af5e39cfc7",
         *         "purpose": "Tesgtft777",
         *         "msg_creation_date": "2023-12-10",
         *         "msg_creation_time": "12:12:12",
         *         "pm_type": "trade",
         *         "sender_account_type": "aid-related",
         *         "encryption": {
         *           "nonce": "2mBTO9z3IO0/AV4a",
         *           "encrypted_key": "dRFEoa39fJ+GCfuXFSiBEi0ptExyuVpRIxmRwKQaDfJ9pULIhixKEeDnOTzRHjegCy2qdY58DSulgdU2Z9ctV8UwuTjrVr1m8q4tEBOgLq10SJizzM9Y6peQKiYaOJc4EJ+OgRZGqwMaywsMTwBtEf5e6kjYcnGCYJbXz33U4zUPyoDv9XH8JjLPPwL/54UUxZJ+W3xIB880VMvFOgzWrVOqspiFY92ncdnaca8cYM0atix62u51Oos5z/KsEnRIbZ5TEW6L8fEb6YUviM05h8ibpdGm8OoukwME2cSmMADZ6MTHwGFuXoIo/e7L49zUD8au/72hgIG98sHc5x+qDQ=="
         *         },
         *         "public_key": {
         *           "alg": "RS256",
         *           "e": "AQAB",
         *           "n": "ruViM21_RGTpqnRJjIy6uxk_sWWkaMLOjnJudY7zNr2kVoyh2u2nYOMnsZj8yd7K-59DxJ02kaaAja2eGcOp1bp2H1iz4mnLGolvyMcnDmWhr_FoXf59Alk2xOasy966fabKnXCB_aywjKgsbTsoA8pqSDnxy5cn4KPY_RiBj9DcqyzIm1_vz7ini36ZqnO48nPTOIGqnOuX_OvSJD_gL6JSBT7jXf9rS3ocmLByM972bFDSwzgNVKK3iJkbLgCLQJvggaaUZKFsih6lf16duz4hY4-yI9QoM7jbbizAk88DeU_GiGvVlOC_OdX1onUJFlKinl6l2Dc_2ujm1GYBBw",
         *           "kid": "9A21DD62-DA56-402D-87A5-4714B113DAD4",
         *           "kty": "RSA",
         *           "use": "sig"
         *         }
         *       },
         *       "payment_message_guid": "8af3c3f5-7543-4bc2-8a0f-2e27f4d16972",
         *       "status": "success",
         *       "reason": "Payment message is approved by the receiver's bank. Merchant is informed by the callback",
         *       "iss": "https://api.admin.smaug.armenotech.dev",
         *       "aud": "0b6f2a9d-5a41-4a0e-8c35-6f2f9f1f7e10",
         *       "iat": 1702203132,
         *       "exp": 1702203432,
         *       "jti": "f5401ac1-e6c8-436b-b311-991f57e0934b",
         *       "callback_kind": "pay-out"
         *     }
         */
        PayOutClaims: components["schemas"]["CallbackClaims"] & {
            /** @description The payment message. */
            payment_message: components["schemas"]["PaymentMessageDetails"];
            /** @description The payment message's identifier. */
            payment_message_guid: components["schemas"]["Guid"];
            /** @description How the payment ended. */
            status: components["schemas"]["CallbackStatus"];
            /** @description Why the payment ended so. */
            reason: components["schemas"]["PayOutSuccessReason"] | components["schemas"]["RejectReason"];
        };
        /**
         * @description The claims of the Credit callback for the recipient bank.
         * @example {
         *       "payment_message": {
         *         "jti": "T12fa2213",
         *         "payment_message_external_id": "112663",
         *         "amount": 5,
         *         "currency": "UAH",
         *         "debtor_agent": {
         *           "debtor_agent_name": "TPN Bank",
         *           "debtor_agent_bic": "306500"
         *         },
         *         "debtor": {
         *           "debtor_name": "ZCLVw5/97gExFK9hMj7fZEYqFrhxPbaRcHWCixYW",
         *           "debtor_id": "GXWVnsvrjFJ6RVFB5Obs9OelCQErNJ7nVq8=",
         *           "debtor_account": "UA761372924114433543273694797"
         *         },
         *         "creditor_agent": {
         *           "creditor_agent_name": "Second Bank",
         *           "creditor_agent_bic": "380816"
         *         },
         *         "creditor": {
         *           "creditor_name": "ay7S08zpmyYPNhuO++3CyvbYZ0Oa/zPRCHQ=",
         *           "creditor_id": "GXWVnsvrjFL2N2iNVXmSItUNgE/AYOGb",
         *           "creditor_account": "UA761372924114433543273694797",
         *           "creditor_uid": "bb95a18f-bd52-46ae-bb1e-0e6f42bf48f5"
         *         },
         *         "ultimate_creditor": {
         *           "ultimate_creditor_name": "Global Payments Ltd.",
         *           "ultimate_creditor_id": "0012345678",
         *           "ultimate_creditor_iban": "UA723445993115212345678",
         *           "ultimate_creditor_bic": "300650",
         *           "ultimate_creditor_mcc": "1234"
         *         },
         *         "order_id": "a38c4e9a-ee54-4e3c-90a4-d6af5e39cfc7",
         *         "purpose": "Tesgtft777",
         *         "msg_creation_date": "2023-12-10",
         *         "msg_creation_time": "12:12:12",
         *         "pm_type": "trade",
         *         "sender_account_type": "aid-related",
         *         "encryption": {
         *           "nonce": "2mBTO9z3IO0/AV4a",
         *           "encrypted_key": "dRFEoa39fJ+GCfuXFSiBEi0ptExyuVpRIxmRwKQaDfJ9pULIhixKEeDnOTzRHjegCy2qdY58DSulgdU2Z9ctV8UwuTjrVr1m8q4tEBOgLq10SJizzM9Y6peQKiYaOJc4EJ+OgRZGqwMaywsMTwBtEf5e6kjYcnGCYJbXz33U4zUPyoDv9XH8JjLPPwL/54UUxZJ+W3xIB880VMvFOgzWrVOqspiFY92ncdnaca8cYM0atix62u51Oos5z/KsEnRIbZ5TEW6L8fEb6YUviM05h8ibpdGm8OoukwME2cSmMADZ6MTHwGFuXoIo/e7L49zUD8au/72hgIG98sHc5x+qDQ=="
         *         },
         *         "public_key": {
         *           "alg": "RS256",
         *           "e": "AQAB",
         *           "n": "ruViM21_RGTpqnRJjIy6uxk_sWWkaMLOjnJudY7zNr2kVoyh2u2nYOMnsZj8yd7K-59DxJ02kaaAja2eGcOp1bp2H1iz4mnLGolvyMcnDmWhr_FoXf59Alk2xOasy966fabKnXCB_aywjKgsbTsoA8pqSDnxy5cn4KPY_RiBj9DcqyzIm1_vz7ini36ZqnO48nPTOIGqnOuX_OvSJD_gL6JSBT7jXf9rS3ocmLByM972bFDSwzgNVKK3iJkbLgCLQJvggaaUZKFsih6lf16duz4hY4-yI9QoM7jbbizAk88DeU_GiGvVlOC_OdX1onUJFlKinl6l2Dc_2ujm1GYBBw",
         *           "kid": "9A21DD62-DA56-402D-87A5-4714B113DAD4",
         *           "kty": "RSA",
         *           "use": "sig"
         *         }
         *       },
         *       "payment_message_guid": "8af3c3f5-7543-4bc2-8a0f-2e27f4d16972",
         *       "status": "success",
         *       "reason": "Credit is allowed",
         *       "iss": "https://api.admin.smaug.armenotech.dev",
         *       "aud": "4f0d6c1e-7f0b-4c8f-9a53-0a7b5d8f3c21",
         *       "iat": 1702203132,
         *       "exp": 1702203432,
         *       "jti": "f5401ac1-e6c8-436b-b311-991f57e0934b",
         *       "callback_kind": "credit"
         *     }
         */
        CreditClaims: components["schemas"]["CallbackClaims"] & {
            /** @description The payment message. */
            payment_message: components["schemas"]["PaymentMessageDetails"];
            /** @description The payment message's identifier. */
            payment_message_guid: components["schemas"]["Guid"];
            /** @description Always `success`. */
            status: components["schemas"]["CallbackStatus"];
            /** @description Always the same. */
            reason: components["schemas"]["CreditReason"];
        };
        /** @description The open body of the Expiration callback; what has no value is the string `null`. */
        ExpirationBody: {
            /** @description The order's amount. */
            amount: components["schemas"]["Amount"];
            /**
             * @description Always the string `null`.
             * @constant
             */
            amount_matched: "null";
            /**
             * @description Always the string `null`; the callback's identifier stands in the header.
             * @constant
             */
            callback_guid: "null";
            /**
             * @description Always 4001.
             * @constant
             */
            code: 4001;
            /** @description The order's currency. */
            currency: components["schemas"]["Currency"];
            /** @description The order's identifier. */
            order_id: components["schemas"]["Guid"];
            /**
             * @description Always the string `null`.
             * @constant
             */
            payment_message_external_id: "null";
            /**
             * @description Always all zeroes.
             * @constant
             */
            payment_message_guid: "00000000-0000-0000-0000-000000000000";
            /**
             * @description Always the string `null`.
             * @constant
             */
            purpose: "null";
            /** @description Always the same. */
            reason: components["schemas"]["OrderExpiredReason"];
            /**
             * @description Always the string `null`.
             * @constant
             */
            receiver_account_iban: "null";
            /**
             * @description Always the string `null`.
             * @constant
             */
            ref_found: "null";
            /** @description The order's number in the merchant's books. */
            ref_number: string;
            /**
             * @description Always the string `null`.
             * @constant
             */
            sender_account_iban: "null";
            /**
             * @description Always `reject`.
             * @constant
             */
            status: "reject";
        };
        /**
         * @description The claims of the Gross settlement callback, which is the register itself. It carries at most 500 payments and 512 KiB of them: a
         *     larger register comes with an empty `payments`, and says where its payments are read.
         * @example {
         *       "id": "1012231",
         *       "debtor_name": "TPN Bank",
         *       "debtor_bic": "306500",
         *       "creditor_name": "Second Bank",
         *       "creditor_bic": "380816",
         *       "creditor_code": "12345678",
         *       "charging_account": "UA063808160041469948322523389",
         *       "purpose": "Gross settlement register 1012231",
         *       "period_start": "2023-12-09T22:00:00Z",
         *       "period_end": "2023-12-10T22:00:00Z",
         *       "total_amount": "5.00",
         *       "total_amount_to_pay": "5.00",
         *       "total_fee_amount": "0.00",
         *       "currency": "UAH",
         *       "status": "Sent",
         *       "created_at": "2023-12-10T22:01:00Z",
         *       "updated_at": "2023-12-10T22:01:00Z",
         *       "deleted_at": null,
         *       "payments": [
         *         {
         *           "payment_message_external_id": "112663",
         *           "payment_message_guid": "28c2c099-79aa-4267-a913-9c0facd654ca",
         *           "pm_type": "trade",
         *           "amount": "5.00",
         *           "fee_amount": "0.00",
         *           "amount_to_pay": "5.00",
         *           "issuer_fee": "0.00",
         *           "currency": "UAH",
         *           "purpose": "Tesgtft777",
         *           "recipient_iban": "UA761372924114433543273694797",
         *           "recipient_agent_id": "4f0d6c1e-7f0b-4c8f-9a53-0a7b5d8f3c21",
         *           "debtor_iban": "UA761372924114433543273694797",
         *           "debtor_agent_id": "0b6f2a9d-5a41-4a0e-8c35-6f2f9f1f7e10",
         *           "register_id": "1012231",
         *           "created_at": "2023-12-10T10:12:12Z"
         *         }
         *       ],
         *       "iss": "https://api.admin.smaug.armenotech.dev",
         *       "aud": "4f0d6c1e-7f0b-4c8f-9a53-0a7b5d8f3c21",
         *       "iat": 1702203132,
         *       "exp": 1702203432,
         *       "jti": "f5401ac1-e6c8-436b-b311-991f57e0934b",
         *       "callback_kind": "gross-settlement"
         *     }
         */
        GrossSettlementClaims: components["schemas"]["CallbackClaims"] & components["schemas"]["RegisterWithPayments"] & {
            /** @description Only where `payments` is left empty for its size; how many payments the register has. */
            payment_count?: number;
            /**
             * Format: uri
             * @description Only where `payments` is left empty for its size; where the receiver reads the register with its payments.
             */
            register_url?: string;
        };
        /**
         * @description A transfer on the local rails that settles a register, as the body of a request or as the claims of a signed one.
         * @example {
         *       "payment_message_external_id": "P-77120",
         *       "creditor_iban": "UA063808160041469948322523389",
         *       "amount": 5,
         *       "currency": "UAH",
         *       "purpose": "Gross settlement register 1012231",
         *       "creation_date": "2023-12-11T09:15:00+02:00"
         *     }
         */
        GrossSettlementPaymentClaims: {
            /**
             * @description The transfer's identifier in the bank's books: unique for the bank among its settlement payments (not among its payment
             *     messages) and used for one register, ever.
             */
            payment_message_external_id: components["schemas"]["PlainText"];
            /** @description The account that was paid to, which is the register's `charging_account`. */
            creditor_iban: string;
            /** @description The amount in major units with at most two decimals, which is the register's `total_amount_to_pay`. */
            amount: number;
            /** @description The register's currency. */
            currency: string;
            /** @description The register's `purpose`. */
            purpose: string;
            /**
             * @description When the bank made the transfer, in ISO 8601: a calendar date, alone or with a time and an offset. It is kept as it is given and
             *     compared with nothing.
             */
            creation_date: string;
        };
        /**
         * @description The transfer that a register was paid with and how it ended, as the body of a request or as the claims of a signed one.
         * @example {
         *       "payment_message_external_id": "P-77120",
         *       "creditor_iban": "UA063808160041469948322523389",
         *       "amount": 5,
         *       "currency": "UAH",
         *       "purpose": "Gross settlement register 1012231",
         *       "creation_date": "2023-12-11T09:15:00+02:00",
         *       "status": "ACSC"
         *     }
         */
        GrossSettlementConfirmationClaims: components["schemas"]["GrossSettlementPaymentClaims"] & {
            /**
             * @description The transfer's final status, as in the status reports of ISO 20022. `ACSC` and `ACCC`: it is settled. `RJCT` and `CANC`: it
             *     failed. Anything else is not final and is refused.
             */
            status: string;
        };
        /** @description The same under the bank's signature. */
        GrossSettlementPaymentEnvelope: {
            /** @description A token with GrossSettlementPaymentClaims, signed by the bank with a registered key. */
            jwt: components["schemas"]["CompactJws"];
        };
        /** @description The same under the bank's signature. */
        GrossSettlementConfirmationEnvelope: {
            /** @description A token with GrossSettlementConfirmationClaims, signed by the bank with a registered key. */
            jwt: components["schemas"]["CompactJws"];
        };
        /** @description What was stated about a register is kept. */
        SettlementAccepted: {
            /**
             * @description Always the string `true`.
             * @constant
             */
            created: "true";
        };
        /**
         * @description The register's state.
         * @enum {string}
         */
        RegisterStatus: "Sent" | "Sent (no PM)" | "Sent (Interbank)" | "Processing" | "Paid";
        /**
         * @description What one bank owes another for the payments of one day in one currency. Names, codes, account and purpose are those of the closing
         *     and never change with the participant.
         */
        Register: {
            /** @description The register's identifier. */
            id: components["schemas"]["RegisterId"];
            /** @description The name of the bank that pays. */
            debtor_name: string;
            /** @description The code of the bank that pays. */
            debtor_bic: string;
            /** @description The name of the bank that is paid; empty in an empty register. */
            creditor_name: string;
            /** @description The code of the bank that is paid; empty in an empty register. */
            creditor_bic: string;
            /** @description The tax number of the bank that is paid; empty in an empty register. */
            creditor_code: string;
            /** @description The account to pay to; empty in an empty register. */
            charging_account: string;
            /** @description The purpose that the settlement payment must have. */
            purpose: string;
            /**
             * Format: date-time
             * @description The start of the register's day.
             */
            period_start: string;
            /**
             * Format: date-time
             * @description The end of the register's day.
             */
            period_end: string;
            /** @description The sum of the payments. */
            total_amount: components["schemas"]["AmountText"];
            /** @description The sum of the payments less the fees. */
            total_amount_to_pay: components["schemas"]["AmountText"];
            /** @description The sum of the fees. */
            total_fee_amount: components["schemas"]["AmountText"];
            /** @description The currency of the register. */
            currency: string;
            /** @description The register's state. */
            status: components["schemas"]["RegisterStatus"];
            /**
             * Format: date-time
             * @description When the register was made.
             */
            created_at: string;
            /**
             * Format: date-time
             * @description When the register was last changed.
             */
            updated_at: string;
            /**
             * Format: date-time
             * @description When the register was withdrawn; null while it counts.
             */
            deleted_at: string | null;
            /**
             * Format: date
             * @description Only in an adjustment: the closed day that its payments turned out to belong to. Its period is that day's, its identifier that of
             *     the day on which it was made.
             */
            adjusts_day?: string;
        };
        /** @description One payment of a register. */
        RegisterPayment: {
            /** @description The payment's identifier in the initiator bank's books. */
            payment_message_external_id: string;
            /** @description The payment message's identifier. */
            payment_message_guid: components["schemas"]["Guid"];
            /** @description What kind of payment it is. */
            pm_type: components["schemas"]["PaymentType"];
            /** @description The amount that was paid. */
            amount: components["schemas"]["AmountText"];
            /** @description The platform's fee for the payment. */
            fee_amount: components["schemas"]["AmountText"];
            /** @description The amount less the fee. */
            amount_to_pay: components["schemas"]["AmountText"];
            /** @description The initiator bank's share of the fee. */
            issuer_fee: components["schemas"]["AmountText"];
            /** @description The currency that was paid in. */
            currency: string;
            /** @description The payment's purpose. */
            purpose: string;
            /** @description The receiver's account. */
            recipient_iban: string;
            /** @description The recipient bank's identifier on the platform. */
            recipient_agent_id: string;
            /** @description The payer's account. */
            debtor_iban: string;
            /** @description The initiator bank's identifier on the platform. */
            debtor_agent_id: string;
            /** @description The register's identifier. */
            register_id: components["schemas"]["RegisterId"];
            /**
             * Format: date-time
             * @description When the payment message was accepted.
             */
            created_at: string;
        };
        /** @description A register with its payments. */
        RegisterWithPayments: components["schemas"]["Register"] & {
            /** @description The payments of the register. */
            payments: components["schemas"]["RegisterPayment"][];
        };
        /** @description A callback that did not arrive. */
        MissedCallback: {
            /** @description The callback's identifier. */
            callback_guid: components["schemas"]["Guid"];
            /** @description Which callback it is. */
            kind: components["schemas"]["MissedCallbackKind"];
            /**
             * @description What became of the callback.
             * @enum {string}
             */
            state: "waiting" | "in_flight" | "review" | "dead";
            /** @description The payment message that the callback is about, if any. */
            payment_message_guid: string | null;
            /** @description The order that the callback is about, if any. */
            order_id: string | null;
            /** @description The register that the callback is about, if any. */
            register_id: string | null;
            /** @description How often the callback was sent. */
            attempts: number;
            /**
             * Format: date-time
             * @description When the callback came to be.
             */
            created_at: string;
            /**
             * Format: date-time
             * @description When its last attempt was recorded; null when there was none.
             */
            last_attempt_at: string | null;
            /** @description How the last attempt ended, in one word such as `refused`, `server_error` or `timeout`. */
            last_outcome: string | null;
        };
        /**
         * @description A callback by its receiver and what it tells, finer than `CallbackKind`: the `kinds` that `x-dcm-callback` names at the webhooks.
         * @enum {string}
         */
        MissedCallbackKind: "pay_in_bank" | "pay_in_bank_reject" | "pay_in_merchant" | "pay_in_merchant_reject" | "pay_out" | "credit" | "expiration" | "gross_settlement";
        /** @description One page of callbacks. */
        MissedCallbackList: {
            /** @description The callbacks of the page. */
            items: components["schemas"]["MissedCallback"][];
            /** @description What to send as `cursor` for the next page; null on the last page. */
            next_cursor: string | null;
        };
        /** @description A public key as a JSON Web Key. */
        Jwk: {
            /**
             * @description The algorithm that the key is used with.
             * @enum {string}
             */
            alg?: "RS256" | "PS256" | "ES256" | "EdDSA" | "RSA-OAEP-256";
            /**
             * @description The family of the key.
             * @enum {string}
             */
            kty: "RSA" | "EC" | "OKP";
            /** @description The key's identifier. */
            kid: string;
            /**
             * @description What the key is for.
             * @enum {string}
             */
            use?: "sig" | "enc";
            /** @description The exponent of an RSA key, in base64url. */
            e?: string;
            /** @description The modulus of an RSA key, in base64url. */
            n?: string;
            /** @description The curve of an EC or OKP key. */
            crv?: string;
            /** @description The first coordinate of an EC key, or the public key of an OKP key, in base64url. */
            x?: string;
            /** @description The second coordinate of an EC key, in base64url. */
            y?: string;
        };
        /** @description A set of public keys. */
        JwkSet: {
            /** @description The keys. */
            keys: components["schemas"]["Jwk"][];
        };
        /** @description The process lives. */
        Health: {
            /**
             * @description Always `ok`.
             * @constant
             */
            status: "ok";
        };
        /** @description Whether the process can work. */
        Readiness: {
            /**
             * @description Whether every dependency is there.
             * @enum {string}
             */
            status: "ready" | "not_ready";
            /** @description Every dependency with its state. */
            dependencies: {
                /** @description The dependency's name. */
                dependency: string;
                /** @description Whether it is there. */
                ok: boolean;
                /** @description What is wrong with it; absent when nothing is. */
                problem?: string;
            }[];
        };
        /**
         * @description What was refused, for programs.
         * @enum {string}
         */
        ErrorCode: "INVALID_DEBTOR_ACCOUNT" | "INVALID_CREDITOR_ACCOUNT" | "INVALID_NONCE" | "INVALID_ENCRYPTED_KEY" | "INVALID_DEBTOR_NAME" | "INVALID_DEBTOR_ID" | "INVALID_DEBTOR_PHONE" | "INVALID_CREDITOR_ID" | "INVALID_CREDITOR_NAME" | "INVALID_CURRENCY" | "UNSUPPORTED_CURRENCY" | "ORDER_NOT_FOUND" | "SENDER_COUNTERPARTY_NOT_FOUND" | "RECEIVER_COUNTERPARTY_NOT_FOUND" | "EXTERNAL_ID_IS_ALREADY_TAKEN" | "ORDER_IS_EXPIRED" | "INVALID_EXTERNAL_ID" | "INVALID_AMOUNT" | "INVALID_PURPOSE" | "INVALID_CREATION_DATE" | "INVALID_CREATION_TIME" | "CREATION_DATE_IS_NOT_PAST" | "INVALID_REQUEST" | "AUTHORIZATION_FAILED" | "INTERNAL_ERROR" | "REF_IS_ALREADY_TAKEN" | "PAYMENT_MESSAGE_EXISTS" | "JTI_IS_ALREADY_TAKEN" | "INVALID_EXPIRY" | "INVALID_ISSUE_TIME" | "PAYMENT_MESSAGE_NOT_FOUND" | "REGISTER_NOT_FOUND" | "wrong_data" | "REGISTER_EMPTY" | "REGISTER_INTERNAL" | "REGISTER_NOT_INTERNAL" | "REGISTER_NOT_PAID" | "REGISTER_ALREADY_PAID" | "PAYMENT_ID_USED" | "STATUS_NOT_FINAL" | "FORBIDDEN" | "OVERLOADED" | "UNAVAILABLE" | "TIMEOUT" | "ROUTE_NOT_FOUND" | "METHOD_NOT_ALLOWED" | "UNSUPPORTED_MEDIA_TYPE" | "BODY_TOO_LARGE" | "TOKEN_REPLAYED" | "TOKEN_BODY_MISMATCH" | "TOKEN_INCOMPLETE" | "TOKEN_STALE" | "TOKEN_EXPIRED" | "TOKEN_NOT_YET_VALID" | "TOKEN_AUDIENCE" | "PARTICIPANT_SUSPENDED" | "RECEIVER_COUNTERPARTY_SUSPENDED" | "INVALID_KEY" | "ORDER_IS_BEING_PAID" | "REQUEST_TIMEOUT" | "EXPECTATION_FAILED" | "TOO_MANY_REQUESTS" | "HEADERS_TOO_LARGE" | "LOGO_NOT_FOUND";
        /** @description A refusal. */
        ErrorAnswer: {
            /** @description What was refused, for people. */
            error: string;
            /** @description What was refused, for programs. */
            code: components["schemas"]["ErrorCode"];
            /** @description The field that was refused, if it was one. */
            field?: string;
            /** @description The payment message that already exists, when that is why. */
            payment_message_guid?: components["schemas"]["Guid"];
        };
        /** @description A refusal of a gross settlement operation. */
        SettlementErrorAnswer: {
            /** @description What was refused, for programs. */
            error: components["schemas"]["ErrorCode"];
            /** @description What was refused, in a sentence. */
            description: string;
        };
    };
    responses: {
        /** @description The callback is accepted. The status line says so; what the body says is kept for people and changes nothing. */
        CallbackAccepted: {
            headers: {
                [name: string]: unknown;
            };
            content?: never;
        };
        /** @description The callback is refused. What follows from that differs from callback to callback. */
        CallbackRefused: {
            headers: {
                [name: string]: unknown;
            };
            content?: never;
        };
        /** @description Redirects are never followed; the callback counts as unanswered and is sent again to the same address. */
        CallbackRedirected: {
            headers: {
                [name: string]: unknown;
            };
            content?: never;
        };
        /**
         * @description A passing problem: the callback counts as unanswered and is sent again. `Retry-After`, in seconds or as a date, makes the wait
         *     longer and never shorter.
         */
        CallbackNotNow: {
            headers: {
                [name: string]: unknown;
            };
            content?: never;
        };
        /** @description The message is accepted and the cascade of callbacks has begun. */
        PaymentMessageAccepted: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                "X-Content-Type-Options": components["headers"]["NoSniff"];
                "Cache-Control": components["headers"]["NoStore"];
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "guid": "9dcf8b3b-c9fe-498c-9adf-364c30804f26"
                 *     }
                 */
                "application/json": components["schemas"]["PaymentMessageCreated"];
            };
        };
        /** @description The message is accepted and the cascade of callbacks has begun. */
        PaymentMessageAcceptedDeprecated: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                "X-Content-Type-Options": components["headers"]["NoSniff"];
                "Cache-Control": components["headers"]["NoStore"];
                Deprecation: components["headers"]["Deprecation"];
                Link: components["headers"]["SuccessorLink"];
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "guid": "9dcf8b3b-c9fe-498c-9adf-364c30804f26"
                 *     }
                 */
                "application/json": components["schemas"]["PaymentMessageCreated"];
            };
        };
        /** @description The payment message. */
        PaymentMessageFound: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                "X-Content-Type-Options": components["headers"]["NoSniff"];
                "Cache-Control": components["headers"]["NoStore"];
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "jti": "T12fa2213",
                 *       "payment_message_external_id": "112663",
                 *       "amount": 5,
                 *       "currency": "UAH",
                 *       "debtor_agent": {
                 *         "debtor_agent_name": "TPN Bank",
                 *         "debtor_agent_bic": "306500"
                 *       },
                 *       "debtor": {
                 *         "debtor_name": "ZCLVw5/97gExFK9hMj7fZEYqFrhxPbaRcHWCixYW",
                 *         "debtor_id": "GXWVnsvrjFJ6RVFB5Obs9OelCQErNJ7nVq8=",
                 *         "debtor_account": "UA761372924114433543273694797"
                 *       },
                 *       "creditor_agent": {
                 *         "creditor_agent_name": "Second Bank",
                 *         "creditor_agent_bic": "380816"
                 *       },
                 *       "creditor": {
                 *         "creditor_name": "ay7S08zpmyYPNhuO++3CyvbYZ0Oa/zPRCHQ=",
                 *         "creditor_id": "GXWVnsvrjFL2N2iNVXmSItUNgE/AYOGb",
                 *         "creditor_account": "UA761372924114433543273694797",
                 *         "creditor_uid": "bb95a18f-bd52-46ae-bb1e-0e6f42bf48f5"
                 *       },
                 *       "ultimate_creditor": {
                 *         "ultimate_creditor_name": "Global Payments Ltd.",
                 *         "ultimate_creditor_id": "0012345678",
                 *         "ultimate_creditor_iban": "UA723445993115212345678",
                 *         "ultimate_creditor_bic": "300650",
                 *         "ultimate_creditor_mcc": "1234"
                 *       },
                 *       "order_id": "a38c4e9a-ee54-4e3c-90a4-d6af5e39cfc7",
                 *       "purpose": "Tesgtft777",
                 *       "msg_creation_date": "2023-12-10",
                 *       "msg_creation_time": "12:12:12",
                 *       "pm_type": "trade",
                 *       "sender_account_type": "aid-related",
                 *       "encryption": {
                 *         "nonce": "2mBTO9z3IO0/AV4a",
                 *         "encrypted_key": "dRFEoa39fJ+GCfuXFSiBEi0ptExyuVpRIxmRwKQaDfJ9pULIhixKEeDnOTzRHjegCy2qdY58DSulgdU2Z9ctV8UwuTjrVr1m8q4tEBOgLq10SJizzM9Y6peQKiYaOJc4EJ+OgRZGqwMaywsMTwBtEf5e6kjYcnGCYJbXz33U4zUPyoDv9XH8JjLPPwL/54UUxZJ+W3xIB880VMvFOgzWrVOqspiFY92ncdnaca8cYM0atix62u51Oos5z/KsEnRIbZ5TEW6L8fEb6YUviM05h8ibpdGm8OoukwME2cSmMADZ6MTHwGFuXoIo/e7L49zUD8au/72hgIG98sHc5x+qDQ=="
                 *       },
                 *       "public_key": {
                 *         "e": "AQAB",
                 *         "n": "ruViM21_RGTpqnRJjIy6uxk_sWWkaMLOjnJudY7zNr2kVoyh2u2nYOMnsZj8yd7K-59DxJ02kaaAja2eGcOp1bp2H1iz4mnLGolvyMcnDmWhr_FoXf59Alk2xOasy966fabKnXCB_aywjKgsbTsoA8pqSDnxy5cn4KPY_RiBj9DcqyzIm1_vz7ini36ZqnO48nPTOIGqnOuX_OvSJD_gL6JSBT7jXf9rS3ocmLByM972bFDSwzgNVKK3iJkbLgCLQJvggaaUZKFsih6lf16duz4hY4-yI9QoM7jbbizAk88DeU_GiGvVlOC_OdX1onUJFlKinl6l2Dc_2ujm1GYBBw",
                 *         "kid": "9A21DD62-DA56-402D-87A5-4714B113DAD4",
                 *         "kty": "RSA",
                 *         "use": "sig"
                 *       },
                 *       "status": "success",
                 *       "reason": "Payment message is approved",
                 *       "guid": "28c2c099-79aa-4267-a913-9c0facd654ca"
                 *     }
                 */
                "application/json": components["schemas"]["PaymentMessageWithStatus"];
            };
        };
        /** @description There is no such payment message, or it is another party's. */
        PaymentMessageNotFound: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                "X-Content-Type-Options": components["headers"]["NoSniff"];
                "Cache-Control": components["headers"]["NoStore"];
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "error": "not found",
                 *       "code": "PAYMENT_MESSAGE_NOT_FOUND"
                 *     }
                 */
                "application/json": components["schemas"]["ErrorAnswer"];
            };
        };
        /** @description The order has a payment message already, or the bank has sent one with this `jti` or `payment_message_external_id`; its guid is answered. */
        PaymentMessageExists: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                "X-Content-Type-Options": components["headers"]["NoSniff"];
                "Cache-Control": components["headers"]["NoStore"];
                Deprecation: components["headers"]["DeprecationIfAny"];
                Link: components["headers"]["SuccessorLinkIfAny"];
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "error": "payment message with provided order id already exists",
                 *       "code": "PAYMENT_MESSAGE_EXISTS",
                 *       "payment_message_guid": "9dcf8b3b-c9fe-498c-9adf-364c30804f26"
                 *     }
                 */
                "application/json": components["schemas"]["ErrorAnswer"];
            };
        };
        /** @description The request breaks the contract; the error names the field. */
        BadRequest: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                "X-Content-Type-Options": components["headers"]["NoSniff"];
                "Cache-Control": components["headers"]["NoStore"];
                Deprecation: components["headers"]["DeprecationIfAny"];
                Link: components["headers"]["SuccessorLinkIfAny"];
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "error": "amount must have at most two decimals",
                 *       "code": "INVALID_AMOUNT",
                 *       "field": "amount"
                 *     }
                 */
                "application/json": components["schemas"]["ErrorAnswer"];
            };
        };
        /** @description The address of the page is not whole; the error names the parameter. */
        PageBadRequest: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                "X-Content-Type-Options": components["headers"]["NoSniff"];
                "Cache-Control": components["headers"]["NoStore"];
                "Content-Security-Policy": components["headers"]["PageSecurityIfPage"];
                "Referrer-Policy": components["headers"]["PageReferrerIfPage"];
                "X-Frame-Options": components["headers"]["PageFrameIfPage"];
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "error": "id must match format \"uuid\"",
                 *       "code": "INVALID_REQUEST",
                 *       "field": "id"
                 *     }
                 */
                "application/json": components["schemas"]["ErrorAnswer"];
                /** @example <!doctype html><html lang="en"><head><title>…</title></head><body>…</body></html> */
                "text/html": string;
            };
        };
        /** @description There is no such order. */
        PageNotFound: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                "X-Content-Type-Options": components["headers"]["NoSniff"];
                "Cache-Control": components["headers"]["NoStore"];
                "Content-Security-Policy": components["headers"]["PageSecurityIfPage"];
                "Referrer-Policy": components["headers"]["PageReferrerIfPage"];
                "X-Frame-Options": components["headers"]["PageFrameIfPage"];
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "error": "order not found",
                 *       "code": "ORDER_NOT_FOUND",
                 *       "field": "id"
                 *     }
                 */
                "application/json": components["schemas"]["ErrorAnswer"];
                /** @example <!doctype html><html lang="en"><head><title>…</title></head><body>…</body></html> */
                "text/html": string;
            };
        };
        /** @description There is no such order. */
        OrderNotFound: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                "X-Content-Type-Options": components["headers"]["NoSniff"];
                "Cache-Control": components["headers"]["NoStore"];
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "error": "order not found",
                 *       "code": "ORDER_NOT_FOUND",
                 *       "field": "id"
                 *     }
                 */
                "application/json": components["schemas"]["ErrorAnswer"];
            };
        };
        /** @description The address asks too often; the header says when to come again. */
        PageTooManyRequests: {
            headers: {
                "Retry-After": components["headers"]["RetryAfter"];
                "X-Request-Id": components["headers"]["RequestId"];
                "X-Content-Type-Options": components["headers"]["NoSniff"];
                "Cache-Control": components["headers"]["NoStore"];
                "Content-Security-Policy": components["headers"]["PageSecurityIfPage"];
                "Referrer-Policy": components["headers"]["PageReferrerIfPage"];
                "X-Frame-Options": components["headers"]["PageFrameIfPage"];
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "error": "too many requests, try again later",
                 *       "code": "TOO_MANY_REQUESTS"
                 *     }
                 */
                "application/json": components["schemas"]["ErrorAnswer"];
                /** @example <!doctype html><html lang="en"><head><title>…</title></head><body>…</body></html> */
                "text/html": string;
            };
        };
        /** @description The platform failed; nothing is known to the caller about why. */
        PageInternalError: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                "X-Content-Type-Options": components["headers"]["NoSniff"];
                "Cache-Control": components["headers"]["NoStore"];
                "Content-Security-Policy": components["headers"]["PageSecurityIfPage"];
                "Referrer-Policy": components["headers"]["PageReferrerIfPage"];
                "X-Frame-Options": components["headers"]["PageFrameIfPage"];
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "error": "internal error",
                 *       "code": "INTERNAL_ERROR"
                 *     }
                 */
                "application/json": components["schemas"]["ErrorAnswer"];
                /** @example <!doctype html><html lang="en"><head><title>…</title></head><body>…</body></html> */
                "text/html": string;
            };
        };
        /** @description The platform cannot work at this moment; the same address can be opened again. */
        PageUnavailable: {
            headers: {
                "Retry-After": components["headers"]["RetryAfter"];
                "X-Request-Id": components["headers"]["RequestId"];
                "X-Content-Type-Options": components["headers"]["NoSniff"];
                "Cache-Control": components["headers"]["NoStore"];
                "Content-Security-Policy": components["headers"]["PageSecurityIfPage"];
                "Referrer-Policy": components["headers"]["PageReferrerIfPage"];
                "X-Frame-Options": components["headers"]["PageFrameIfPage"];
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "error": "the service is unavailable, try again",
                 *       "code": "UNAVAILABLE"
                 *     }
                 */
                "application/json": components["schemas"]["ErrorAnswer"];
                /** @example <!doctype html><html lang="en"><head><title>…</title></head><body>…</body></html> */
                "text/html": string;
            };
        };
        /**
         * @description The token is missing or malformed, or not signed by the party that it should be signed by: then nothing more is told. Of a
         *     token with a good signature the code says what is wrong with it, and `field` which claim: whoever holds the key may know.
         */
        Unauthorized: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                "X-Content-Type-Options": components["headers"]["NoSniff"];
                "Cache-Control": components["headers"]["NoStore"];
                Deprecation: components["headers"]["DeprecationIfAny"];
                Link: components["headers"]["SuccessorLinkIfAny"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["ErrorAnswer"];
            };
        };
        /** @description The token is malformed, or not signed by the merchant that it names; more is not told. */
        NotSignedByMerchant: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                "X-Content-Type-Options": components["headers"]["NoSniff"];
                "Cache-Control": components["headers"]["NoStore"];
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "error": "Access credentials are invalid",
                 *       "code": "AUTHORIZATION_FAILED"
                 *     }
                 */
                "application/json": components["schemas"]["ErrorAnswer"];
            };
        };
        /** @description The identifier in the path is not the caller's own, or the caller is suspended. */
        Forbidden: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                "X-Content-Type-Options": components["headers"]["NoSniff"];
                "Cache-Control": components["headers"]["NoStore"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["ErrorAnswer"];
            };
        };
        /** @description The caller is suspended. */
        Suspended: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                "X-Content-Type-Options": components["headers"]["NoSniff"];
                "Cache-Control": components["headers"]["NoStore"];
                Deprecation: components["headers"]["DeprecationIfAny"];
                Link: components["headers"]["SuccessorLinkIfAny"];
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "error": "the participant is suspended",
                 *       "code": "PARTICIPANT_SUSPENDED"
                 *     }
                 */
                "application/json": components["schemas"]["ErrorAnswer"];
            };
        };
        /** @description The body is larger than 64 KiB. */
        PayloadTooLarge: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                "X-Content-Type-Options": components["headers"]["NoSniff"];
                "Cache-Control": components["headers"]["NoStore"];
                Deprecation: components["headers"]["DeprecationIfAny"];
                Link: components["headers"]["SuccessorLinkIfAny"];
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "error": "the body is larger than 64 KiB",
                 *       "code": "BODY_TOO_LARGE"
                 *     }
                 */
                "application/json": components["schemas"]["ErrorAnswer"];
            };
        };
        /** @description The body is not declared as what the operation takes, in another charset than UTF-8, or compressed; the error says which. */
        UnsupportedMediaType: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                "X-Content-Type-Options": components["headers"]["NoSniff"];
                "Cache-Control": components["headers"]["NoStore"];
                Deprecation: components["headers"]["DeprecationIfAny"];
                Link: components["headers"]["SuccessorLinkIfAny"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["ErrorAnswer"];
            };
        };
        /** @description The copy that the caller has, by its `If-None-Match`, is what would be answered; there is no body. */
        NotModified: {
            headers: {
                ETag: components["headers"]["EntityTag"];
                "Cache-Control": components["headers"]["AskedAboutBeforeUse"];
                "X-Request-Id": components["headers"]["RequestId"];
                "X-Content-Type-Options": components["headers"]["NoSniff"];
                [name: string]: unknown;
            };
            content?: never;
        };
        /** @description The request line and the headers together are too large; a long order token belongs in the body. The path is not known yet, so the answer has this form everywhere. */
        HeaderTooLarge: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                "X-Content-Type-Options": components["headers"]["NoSniff"];
                "Cache-Control": components["headers"]["NoStore"];
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "error": "the request line and the headers are too large",
                 *       "code": "HEADERS_TOO_LARGE"
                 *     }
                 */
                "application/json": components["schemas"]["ErrorAnswer"];
            };
        };
        /** @description The platform failed; nothing is known to the caller about why. */
        InternalError: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                "X-Content-Type-Options": components["headers"]["NoSniff"];
                "Cache-Control": components["headers"]["NoStore"];
                Deprecation: components["headers"]["DeprecationIfAny"];
                Link: components["headers"]["SuccessorLinkIfAny"];
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "error": "internal error",
                 *       "code": "INTERNAL_ERROR"
                 *     }
                 */
                "application/json": components["schemas"]["ErrorAnswer"];
            };
        };
        /** @description The platform cannot work at this moment; the same request can be sent again. */
        Unavailable: {
            headers: {
                "Retry-After": components["headers"]["RetryAfter"];
                "X-Request-Id": components["headers"]["RequestId"];
                "X-Content-Type-Options": components["headers"]["NoSniff"];
                "Cache-Control": components["headers"]["NoStore"];
                Deprecation: components["headers"]["DeprecationIfAny"];
                Link: components["headers"]["SuccessorLinkIfAny"];
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "error": "the service is unavailable, try again",
                 *       "code": "UNAVAILABLE"
                 *     }
                 */
                "application/json": components["schemas"]["ErrorAnswer"];
            };
        };
        /** @description The request breaks the contract; the description names the field. */
        SettlementBadRequest: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                "X-Content-Type-Options": components["headers"]["NoSniff"];
                "Cache-Control": components["headers"]["NoStore"];
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "error": "INVALID_REQUEST",
                 *       "description": "limit must be at most 500"
                 *     }
                 */
                "application/json": components["schemas"]["SettlementErrorAnswer"];
            };
        };
        /**
         * @description The token is missing or malformed, or not signed by the party that it should be signed by: then nothing more is told. Of a
         *     token with a good signature the code says what is wrong with it: whoever holds the key may know.
         */
        SettlementUnauthorized: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                "X-Content-Type-Options": components["headers"]["NoSniff"];
                "Cache-Control": components["headers"]["NoStore"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["SettlementErrorAnswer"];
            };
        };
        /** @description The identifier in the path is not the caller's own. */
        SettlementForbidden: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                "X-Content-Type-Options": components["headers"]["NoSniff"];
                "Cache-Control": components["headers"]["NoStore"];
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "error": "FORBIDDEN",
                 *       "description": "the counterparty in the path is not the caller"
                 *     }
                 */
                "application/json": components["schemas"]["SettlementErrorAnswer"];
            };
        };
        /** @description The identifier in the path is not the caller's own, or the caller is not the bank that pays the register. */
        SettlementNotInitiator: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                "X-Content-Type-Options": components["headers"]["NoSniff"];
                "Cache-Control": components["headers"]["NoStore"];
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "error": "FORBIDDEN",
                 *       "description": "only the initiator bank pays and confirms a register"
                 *     }
                 */
                "application/json": components["schemas"]["SettlementErrorAnswer"];
            };
        };
        /** @description The platform did not answer in time. It may have happened all the same; the same request again hears 208 then. */
        SettlementTimeout: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                "X-Content-Type-Options": components["headers"]["NoSniff"];
                "Cache-Control": components["headers"]["NoStore"];
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "error": "TIMEOUT",
                 *       "description": "the service did not answer in time, try again"
                 *     }
                 */
                "application/json": components["schemas"]["SettlementErrorAnswer"];
            };
        };
        /** @description The body is larger than 64 KiB. */
        SettlementPayloadTooLarge: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                "X-Content-Type-Options": components["headers"]["NoSniff"];
                "Cache-Control": components["headers"]["NoStore"];
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "error": "BODY_TOO_LARGE",
                 *       "description": "the body is larger than 64 KiB"
                 *     }
                 */
                "application/json": components["schemas"]["SettlementErrorAnswer"];
            };
        };
        /** @description The body is not declared as application/json, in another charset than UTF-8, or compressed; the description says which. */
        SettlementUnsupportedMediaType: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                "X-Content-Type-Options": components["headers"]["NoSniff"];
                "Cache-Control": components["headers"]["NoStore"];
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "error": "UNSUPPORTED_MEDIA_TYPE",
                 *       "description": "Content-Type must be application/json"
                 *     }
                 */
                "application/json": components["schemas"]["SettlementErrorAnswer"];
            };
        };
        /** @description The platform failed; nothing is known to the caller about why. */
        SettlementInternalError: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                "X-Content-Type-Options": components["headers"]["NoSniff"];
                "Cache-Control": components["headers"]["NoStore"];
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "error": "INTERNAL_ERROR",
                 *       "description": "internal error"
                 *     }
                 */
                "application/json": components["schemas"]["SettlementErrorAnswer"];
            };
        };
        /** @description The platform cannot work at this moment; the same request can be sent again. */
        SettlementUnavailable: {
            headers: {
                "Retry-After": components["headers"]["RetryAfter"];
                "X-Request-Id": components["headers"]["RequestId"];
                "X-Content-Type-Options": components["headers"]["NoSniff"];
                "Cache-Control": components["headers"]["NoStore"];
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "error": "UNAVAILABLE",
                 *       "description": "the service is unavailable, try again"
                 *     }
                 */
                "application/json": components["schemas"]["SettlementErrorAnswer"];
            };
        };
        /** @description The path does not have the method. */
        MethodNotAllowed: {
            headers: {
                Allow: components["headers"]["Allow"];
                "X-Request-Id": components["headers"]["RequestId"];
                "X-Content-Type-Options": components["headers"]["NoSniff"];
                "Cache-Control": components["headers"]["NoStore"];
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "error": "the path does not have this method",
                 *       "code": "METHOD_NOT_ALLOWED"
                 *     }
                 */
                "application/json": components["schemas"]["ErrorAnswer"];
            };
        };
        /** @description The path does not have the method. */
        SettlementMethodNotAllowed: {
            headers: {
                Allow: components["headers"]["Allow"];
                "X-Request-Id": components["headers"]["RequestId"];
                "X-Content-Type-Options": components["headers"]["NoSniff"];
                "Cache-Control": components["headers"]["NoStore"];
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "error": "METHOD_NOT_ALLOWED",
                 *       "description": "the path does not have this method"
                 *     }
                 */
                "application/json": components["schemas"]["SettlementErrorAnswer"];
            };
        };
        /** @description The request did not arrive as a whole in time. */
        RequestTimeout: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                "X-Content-Type-Options": components["headers"]["NoSniff"];
                "Cache-Control": components["headers"]["NoStore"];
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "error": "the request did not arrive in time",
                 *       "code": "REQUEST_TIMEOUT"
                 *     }
                 */
                "application/json": components["schemas"]["ErrorAnswer"];
            };
        };
        /** @description The header `Expect` asks for something else than `100-continue`. */
        ExpectationFailed: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                "X-Content-Type-Options": components["headers"]["NoSniff"];
                "Cache-Control": components["headers"]["NoStore"];
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "error": "the only expectation that is met is 100-continue",
                 *       "code": "EXPECTATION_FAILED"
                 *     }
                 */
                "application/json": components["schemas"]["ErrorAnswer"];
            };
        };
        /** @description The header `Expect` asks for something else than `100-continue`. */
        SettlementExpectationFailed: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                "X-Content-Type-Options": components["headers"]["NoSniff"];
                "Cache-Control": components["headers"]["NoStore"];
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "error": "EXPECTATION_FAILED",
                 *       "description": "the only expectation that is met is 100-continue"
                 *     }
                 */
                "application/json": components["schemas"]["SettlementErrorAnswer"];
            };
        };
        /** @description The caller, or its address, asks too often; the header says when to come again. */
        TooManyRequests: {
            headers: {
                "Retry-After": components["headers"]["RetryAfter"];
                "X-Request-Id": components["headers"]["RequestId"];
                "X-Content-Type-Options": components["headers"]["NoSniff"];
                "Cache-Control": components["headers"]["NoStore"];
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "error": "too many requests, try again later",
                 *       "code": "TOO_MANY_REQUESTS"
                 *     }
                 */
                "application/json": components["schemas"]["ErrorAnswer"];
            };
        };
        /** @description The caller, or its address, asks too often; the header says when to come again. */
        SettlementTooManyRequests: {
            headers: {
                "Retry-After": components["headers"]["RetryAfter"];
                "X-Request-Id": components["headers"]["RequestId"];
                "X-Content-Type-Options": components["headers"]["NoSniff"];
                "Cache-Control": components["headers"]["NoStore"];
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "error": "TOO_MANY_REQUESTS",
                 *       "description": "too many requests, try again later"
                 *     }
                 */
                "application/json": components["schemas"]["SettlementErrorAnswer"];
            };
        };
        /** @description The request did not arrive as a whole in time. */
        SettlementRequestTimeout: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                "X-Content-Type-Options": components["headers"]["NoSniff"];
                "Cache-Control": components["headers"]["NoStore"];
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "error": "REQUEST_TIMEOUT",
                 *       "description": "the request did not arrive in time"
                 *     }
                 */
                "application/json": components["schemas"]["SettlementErrorAnswer"];
            };
        };
        /** @description The platform cannot work at this moment, and nothing was changed; the same request can be sent again. */
        SettlementChangeUnavailable: {
            headers: {
                "Retry-After": components["headers"]["RetryAfter"];
                "X-Request-Id": components["headers"]["RequestId"];
                "X-Content-Type-Options": components["headers"]["NoSniff"];
                "Cache-Control": components["headers"]["NoStore"];
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "error": "UNAVAILABLE",
                 *       "description": "the service is unavailable, try again"
                 *     }
                 */
                "application/json": components["schemas"]["SettlementErrorAnswer"];
            };
        };
    };
    parameters: {
        /** @description The register's identifier. */
        RegisterIdPath: components["schemas"]["RegisterId"];
        /** @description The calling bank's own identifier. */
        CounterpartyGuidPath: components["schemas"]["Guid"];
        /** @description The order's identifier. */
        OrderIdQuery: components["schemas"]["Guid"];
        /** @description Callbacks created at or after this instant. In a query the plus sign of a time offset must be written as `%2B`. */
        MissedSince: components["schemas"]["Instant"];
        /** @description How many callbacks to answer at most. */
        MissedLimit: number;
        /** @description The `next_cursor` of the page before this one, with the same `since`; of any other list it is refused. */
        MissedCursor: string;
        /** @description A compact JWS signed by the platform with the claims of `CxAuthorizationClaims`. */
        CallbackAuthorizationHeader: components["schemas"]["CxAuthorizationToken"];
        /**
         * @description The callback's identifier, the same in every retry, by which the receiver discards repeats.
         * @example f5401ac1-e6c8-436b-b311-991f57e0934b
         */
        CallbackGuidHeader: components["schemas"]["Guid"];
        /** @description What the callback tells, for receivers that take several kinds at one address; also signed as the claim `callback_kind`. */
        CallbackKindHeader: components["schemas"]["CallbackKind"];
    };
    requestBodies: {
        /**
         * @description A token with PaymentMessageClaims, signed by the initiator bank: in JSON, or by itself as `application/jwt`, `application/jose` or
         *     `text/plain`, which mean the same.
         */
        SignedPaymentMessage: {
            content: {
                /**
                 * @example {
                 *       "jwt": "eyJhbGciOiJSUzI1NiIsImtpZCI6ImJhbmstMjAyNi0xIiwidHlwIjoiSldUIn0.eyJqdGkiOiJUMTJmYTIyMTMiLCJwYXltZW50X21lc3NhZ2VfZXh0ZXJuYWxfaWQiOiIxMTI2NjMiLCJhbW91bnQiOjUsImN1cnJlbmN5IjoiVUFIIiwiZGVidG9yX2FnZW50X2JpYyI6IjMwNjUwMCIsImRlYnRvciI6eyJkZWJ0b3JfbmFtZSI6IlpDTFZ3NS85N2dFeEZLOWhNajdmWkVZcUZyaHhQYmFSY0hXQ2l4WVciLCJkZWJ0b3JfaWQiOiJHWFdWbnN2cmpGSjZSVkZCNU9iczlPZWxDUUVyTko3blZxOD0iLCJkZWJ0b3JfYWNjb3VudCI6IlVBNzYxMzcyOTI0MTE0NDMzNTQzMjczNjk0Nzk3IiwiZGVidG9yX3Bob25lIjoiKzM4MDY2MTIzNDU2NyJ9LCJjcmVkaXRvcl9hZ2VudF9iaWMiOiIzODA4MTYiLCJjcmVkaXRvciI6eyJjcmVkaXRvcl9uYW1lIjoiYXk3UzA4enBteVlQTmh1TysrM0N5dmJZWjBPYS96UFJDSFE9IiwiY3JlZGl0b3JfaWQiOiJHWFdWbnN2cmpGTDJOMmlOVlhtU0l0VU5nRS9BWU9HYiIsImNyZWRpdG9yX2FjY291bnQiOiJVQTc2MTM3MjkyNDExNDQzMzU0MzI3MzY5NDc5NyJ9LCJvcmRlcl9pZCI6ImJiOTVhMThmLWJkNTItNDZhZS1iYjFlLTBlNmY0MmJmNDhmNSIsInB1cnBvc2UiOiJUZXNndGZ0Nzc3IiwibXNnX2NyZWF0aW9uX2RhdGUiOiIyMDIzLTEyLTEwIiwibXNnX2NyZWF0aW9uX3RpbWUiOiIxNDozMDoxMiIsInBtX3R5cGUiOiJ0cmFkZSIsInNlbmRlcl9hY2NvdW50X3R5cGUiOiJsaW1pdC1yZWxhdGVkIiwiZW5jcnlwdGlvbiI6eyJub25jZSI6IjJtQlRPOXozSU8wL0FWNGEiLCJlbmNyeXB0ZWRfa2V5IjoiZFJGRW9hMzlmSitHQ2Z1WEZTaUJFaTBwdEV4eXVWcFJJeG1Sd0tRYURmSjlwVUxJaGl4S0VlRG5PVHpSSGplZ0N5MnFkWTU4RFN1bGdkVTJaOWN0VjhVd3VUanJWcjFtOHE0dEVCT2dMcTEwU0ppenpNOVk2cGVRS2lZYU9KYzRFSitPZ1JaR3F3TWF5d3NNVHdCdEVmNWU2a2pZY25HQ1lKYlh6MzNVNHpVUHlvRHY5WEg4SmpMUFB3TC81NFVVeFpKK1czeElCODgwVk12Rk9neldyVk9xc3BpRlk5Mm5jZG5hY2E4Y1lNMGF0aXg2MnU1MU9vczV6L0tzRW5SSWJaNVRFVzZMOGZFYjZZVXZpTTA1aDhpYnBkR204T291a3dNRTJjU21NQURaNk1USHdHRnVYb0lvL2U3TDQ5elVEOGF1LzcyaGdJRzk4c0hjNXgrcURRPT0ifX0.SuF66MOdwG--yRhGzSTphY4f-4Nk_wUg09pbd15nuTr87zXyRkRSi0KLzMAm2YbQQhqP8-ugoDpjWoOXt_Vv4bV8t05Rs_s7BjKn9A-ruKcRJ7SqBZCpEytJmhowvGNUJvpLddig4rYT45a_R5-dn-QPPE6sPrzYCb58eATSwQ5rjhGir4dcshfmgI-z7ONWbW3B_zfb7xbHjs1-ecCCyOp8ixKBF7xb1AQF2Z1N3ICV73e_mEvTqcpVAHO3b125aXX8HhHuiDdXVIlv40_z4QzFBM6n4yF1A_qi9E2p4GF3hTifdfnCFZmzhpbCA374-NrGJ3P1DHVpLUQdpBlpkg"
                 *     }
                 */
                "application/json": components["schemas"]["PaymentMessageEnvelope"];
                /** @example eyJhbGciOiJSUzI1NiIsImtpZCI6ImJhbmstMjAyNi0xIiwidHlwIjoiSldUIn0.eyJqdGkiOiJUMTJmYTIyMTMiLCJwYXltZW50X21lc3NhZ2VfZXh0ZXJuYWxfaWQiOiIxMTI2NjMiLCJhbW91bnQiOjUsImN1cnJlbmN5IjoiVUFIIiwiZGVidG9yX2FnZW50X2JpYyI6IjMwNjUwMCIsImRlYnRvciI6eyJkZWJ0b3JfbmFtZSI6IlpDTFZ3NS85N2dFeEZLOWhNajdmWkVZcUZyaHhQYmFSY0hXQ2l4WVciLCJkZWJ0b3JfaWQiOiJHWFdWbnN2cmpGSjZSVkZCNU9iczlPZWxDUUVyTko3blZxOD0iLCJkZWJ0b3JfYWNjb3VudCI6IlVBNzYxMzcyOTI0MTE0NDMzNTQzMjczNjk0Nzk3IiwiZGVidG9yX3Bob25lIjoiKzM4MDY2MTIzNDU2NyJ9LCJjcmVkaXRvcl9hZ2VudF9iaWMiOiIzODA4MTYiLCJjcmVkaXRvciI6eyJjcmVkaXRvcl9uYW1lIjoiYXk3UzA4enBteVlQTmh1TysrM0N5dmJZWjBPYS96UFJDSFE9IiwiY3JlZGl0b3JfaWQiOiJHWFdWbnN2cmpGTDJOMmlOVlhtU0l0VU5nRS9BWU9HYiIsImNyZWRpdG9yX2FjY291bnQiOiJVQTc2MTM3MjkyNDExNDQzMzU0MzI3MzY5NDc5NyJ9LCJvcmRlcl9pZCI6ImJiOTVhMThmLWJkNTItNDZhZS1iYjFlLTBlNmY0MmJmNDhmNSIsInB1cnBvc2UiOiJUZXNndGZ0Nzc3IiwibXNnX2NyZWF0aW9uX2RhdGUiOiIyMDIzLTEyLTEwIiwibXNnX2NyZWF0aW9uX3RpbWUiOiIxNDozMDoxMiIsInBtX3R5cGUiOiJ0cmFkZSIsInNlbmRlcl9hY2NvdW50X3R5cGUiOiJsaW1pdC1yZWxhdGVkIiwiZW5jcnlwdGlvbiI6eyJub25jZSI6IjJtQlRPOXozSU8wL0FWNGEiLCJlbmNyeXB0ZWRfa2V5IjoiZFJGRW9hMzlmSitHQ2Z1WEZTaUJFaTBwdEV4eXVWcFJJeG1Sd0tRYURmSjlwVUxJaGl4S0VlRG5PVHpSSGplZ0N5MnFkWTU4RFN1bGdkVTJaOWN0VjhVd3VUanJWcjFtOHE0dEVCT2dMcTEwU0ppenpNOVk2cGVRS2lZYU9KYzRFSitPZ1JaR3F3TWF5d3NNVHdCdEVmNWU2a2pZY25HQ1lKYlh6MzNVNHpVUHlvRHY5WEg4SmpMUFB3TC81NFVVeFpKK1czeElCODgwVk12Rk9neldyVk9xc3BpRlk5Mm5jZG5hY2E4Y1lNMGF0aXg2MnU1MU9vczV6L0tzRW5SSWJaNVRFVzZMOGZFYjZZVXZpTTA1aDhpYnBkR204T291a3dNRTJjU21NQURaNk1USHdHRnVYb0lvL2U3TDQ5elVEOGF1LzcyaGdJRzk4c0hjNXgrcURRPT0ifX0.SuF66MOdwG--yRhGzSTphY4f-4Nk_wUg09pbd15nuTr87zXyRkRSi0KLzMAm2YbQQhqP8-ugoDpjWoOXt_Vv4bV8t05Rs_s7BjKn9A-ruKcRJ7SqBZCpEytJmhowvGNUJvpLddig4rYT45a_R5-dn-QPPE6sPrzYCb58eATSwQ5rjhGir4dcshfmgI-z7ONWbW3B_zfb7xbHjs1-ecCCyOp8ixKBF7xb1AQF2Z1N3ICV73e_mEvTqcpVAHO3b125aXX8HhHuiDdXVIlv40_z4QzFBM6n4yF1A_qi9E2p4GF3hTifdfnCFZmzhpbCA374-NrGJ3P1DHVpLUQdpBlpkg */
                "application/jwt": components["schemas"]["BarePaymentMessage"];
                /** @example eyJhbGciOiJSUzI1NiIsImtpZCI6ImJhbmstMjAyNi0xIiwidHlwIjoiSldUIn0.eyJqdGkiOiJUMTJmYTIyMTMiLCJwYXltZW50X21lc3NhZ2VfZXh0ZXJuYWxfaWQiOiIxMTI2NjMiLCJhbW91bnQiOjUsImN1cnJlbmN5IjoiVUFIIiwiZGVidG9yX2FnZW50X2JpYyI6IjMwNjUwMCIsImRlYnRvciI6eyJkZWJ0b3JfbmFtZSI6IlpDTFZ3NS85N2dFeEZLOWhNajdmWkVZcUZyaHhQYmFSY0hXQ2l4WVciLCJkZWJ0b3JfaWQiOiJHWFdWbnN2cmpGSjZSVkZCNU9iczlPZWxDUUVyTko3blZxOD0iLCJkZWJ0b3JfYWNjb3VudCI6IlVBNzYxMzcyOTI0MTE0NDMzNTQzMjczNjk0Nzk3IiwiZGVidG9yX3Bob25lIjoiKzM4MDY2MTIzNDU2NyJ9LCJjcmVkaXRvcl9hZ2VudF9iaWMiOiIzODA4MTYiLCJjcmVkaXRvciI6eyJjcmVkaXRvcl9uYW1lIjoiYXk3UzA4enBteVlQTmh1TysrM0N5dmJZWjBPYS96UFJDSFE9IiwiY3JlZGl0b3JfaWQiOiJHWFdWbnN2cmpGTDJOMmlOVlhtU0l0VU5nRS9BWU9HYiIsImNyZWRpdG9yX2FjY291bnQiOiJVQTc2MTM3MjkyNDExNDQzMzU0MzI3MzY5NDc5NyJ9LCJvcmRlcl9pZCI6ImJiOTVhMThmLWJkNTItNDZhZS1iYjFlLTBlNmY0MmJmNDhmNSIsInB1cnBvc2UiOiJUZXNndGZ0Nzc3IiwibXNnX2NyZWF0aW9uX2RhdGUiOiIyMDIzLTEyLTEwIiwibXNnX2NyZWF0aW9uX3RpbWUiOiIxNDozMDoxMiIsInBtX3R5cGUiOiJ0cmFkZSIsInNlbmRlcl9hY2NvdW50X3R5cGUiOiJsaW1pdC1yZWxhdGVkIiwiZW5jcnlwdGlvbiI6eyJub25jZSI6IjJtQlRPOXozSU8wL0FWNGEiLCJlbmNyeXB0ZWRfa2V5IjoiZFJGRW9hMzlmSitHQ2Z1WEZTaUJFaTBwdEV4eXVWcFJJeG1Sd0tRYURmSjlwVUxJaGl4S0VlRG5PVHpSSGplZ0N5MnFkWTU4RFN1bGdkVTJaOWN0VjhVd3VUanJWcjFtOHE0dEVCT2dMcTEwU0ppenpNOVk2cGVRS2lZYU9KYzRFSitPZ1JaR3F3TWF5d3NNVHdCdEVmNWU2a2pZY25HQ1lKYlh6MzNVNHpVUHlvRHY5WEg4SmpMUFB3TC81NFVVeFpKK1czeElCODgwVk12Rk9neldyVk9xc3BpRlk5Mm5jZG5hY2E4Y1lNMGF0aXg2MnU1MU9vczV6L0tzRW5SSWJaNVRFVzZMOGZFYjZZVXZpTTA1aDhpYnBkR204T291a3dNRTJjU21NQURaNk1USHdHRnVYb0lvL2U3TDQ5elVEOGF1LzcyaGdJRzk4c0hjNXgrcURRPT0ifX0.SuF66MOdwG--yRhGzSTphY4f-4Nk_wUg09pbd15nuTr87zXyRkRSi0KLzMAm2YbQQhqP8-ugoDpjWoOXt_Vv4bV8t05Rs_s7BjKn9A-ruKcRJ7SqBZCpEytJmhowvGNUJvpLddig4rYT45a_R5-dn-QPPE6sPrzYCb58eATSwQ5rjhGir4dcshfmgI-z7ONWbW3B_zfb7xbHjs1-ecCCyOp8ixKBF7xb1AQF2Z1N3ICV73e_mEvTqcpVAHO3b125aXX8HhHuiDdXVIlv40_z4QzFBM6n4yF1A_qi9E2p4GF3hTifdfnCFZmzhpbCA374-NrGJ3P1DHVpLUQdpBlpkg */
                "application/jose": components["schemas"]["BarePaymentMessage"];
                /** @example eyJhbGciOiJSUzI1NiIsImtpZCI6ImJhbmstMjAyNi0xIiwidHlwIjoiSldUIn0.eyJqdGkiOiJUMTJmYTIyMTMiLCJwYXltZW50X21lc3NhZ2VfZXh0ZXJuYWxfaWQiOiIxMTI2NjMiLCJhbW91bnQiOjUsImN1cnJlbmN5IjoiVUFIIiwiZGVidG9yX2FnZW50X2JpYyI6IjMwNjUwMCIsImRlYnRvciI6eyJkZWJ0b3JfbmFtZSI6IlpDTFZ3NS85N2dFeEZLOWhNajdmWkVZcUZyaHhQYmFSY0hXQ2l4WVciLCJkZWJ0b3JfaWQiOiJHWFdWbnN2cmpGSjZSVkZCNU9iczlPZWxDUUVyTko3blZxOD0iLCJkZWJ0b3JfYWNjb3VudCI6IlVBNzYxMzcyOTI0MTE0NDMzNTQzMjczNjk0Nzk3IiwiZGVidG9yX3Bob25lIjoiKzM4MDY2MTIzNDU2NyJ9LCJjcmVkaXRvcl9hZ2VudF9iaWMiOiIzODA4MTYiLCJjcmVkaXRvciI6eyJjcmVkaXRvcl9uYW1lIjoiYXk3UzA4enBteVlQTmh1TysrM0N5dmJZWjBPYS96UFJDSFE9IiwiY3JlZGl0b3JfaWQiOiJHWFdWbnN2cmpGTDJOMmlOVlhtU0l0VU5nRS9BWU9HYiIsImNyZWRpdG9yX2FjY291bnQiOiJVQTc2MTM3MjkyNDExNDQzMzU0MzI3MzY5NDc5NyJ9LCJvcmRlcl9pZCI6ImJiOTVhMThmLWJkNTItNDZhZS1iYjFlLTBlNmY0MmJmNDhmNSIsInB1cnBvc2UiOiJUZXNndGZ0Nzc3IiwibXNnX2NyZWF0aW9uX2RhdGUiOiIyMDIzLTEyLTEwIiwibXNnX2NyZWF0aW9uX3RpbWUiOiIxNDozMDoxMiIsInBtX3R5cGUiOiJ0cmFkZSIsInNlbmRlcl9hY2NvdW50X3R5cGUiOiJsaW1pdC1yZWxhdGVkIiwiZW5jcnlwdGlvbiI6eyJub25jZSI6IjJtQlRPOXozSU8wL0FWNGEiLCJlbmNyeXB0ZWRfa2V5IjoiZFJGRW9hMzlmSitHQ2Z1WEZTaUJFaTBwdEV4eXVWcFJJeG1Sd0tRYURmSjlwVUxJaGl4S0VlRG5PVHpSSGplZ0N5MnFkWTU4RFN1bGdkVTJaOWN0VjhVd3VUanJWcjFtOHE0dEVCT2dMcTEwU0ppenpNOVk2cGVRS2lZYU9KYzRFSitPZ1JaR3F3TWF5d3NNVHdCdEVmNWU2a2pZY25HQ1lKYlh6MzNVNHpVUHlvRHY5WEg4SmpMUFB3TC81NFVVeFpKK1czeElCODgwVk12Rk9neldyVk9xc3BpRlk5Mm5jZG5hY2E4Y1lNMGF0aXg2MnU1MU9vczV6L0tzRW5SSWJaNVRFVzZMOGZFYjZZVXZpTTA1aDhpYnBkR204T291a3dNRTJjU21NQURaNk1USHdHRnVYb0lvL2U3TDQ5elVEOGF1LzcyaGdJRzk4c0hjNXgrcURRPT0ifX0.SuF66MOdwG--yRhGzSTphY4f-4Nk_wUg09pbd15nuTr87zXyRkRSi0KLzMAm2YbQQhqP8-ugoDpjWoOXt_Vv4bV8t05Rs_s7BjKn9A-ruKcRJ7SqBZCpEytJmhowvGNUJvpLddig4rYT45a_R5-dn-QPPE6sPrzYCb58eATSwQ5rjhGir4dcshfmgI-z7ONWbW3B_zfb7xbHjs1-ecCCyOp8ixKBF7xb1AQF2Z1N3ICV73e_mEvTqcpVAHO3b125aXX8HhHuiDdXVIlv40_z4QzFBM6n4yF1A_qi9E2p4GF3hTifdfnCFZmzhpbCA374-NrGJ3P1DHVpLUQdpBlpkg */
                "text/plain": components["schemas"]["BarePaymentMessage"];
            };
        };
    };
    headers: {
        /**
         * @description Names what is answered, byte by byte; sent back in `If-None-Match` it asks whether that has changed.
         * @example "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"
         */
        EntityTag: string;
        /**
         * @description A copy may be kept, and is asked about before each use.
         * @example no-cache
         */
        AskedAboutBeforeUse: "no-cache";
        /**
         * @description After how many seconds the request can be sent again.
         * @example 1
         */
        RetryAfter: number;
        /**
         * @description Since when the operation is deprecated, in Unix seconds after an `@` (RFC 9745). Refusals carry it as well.
         * @example @1795737600
         */
        Deprecation: string;
        /**
         * @description What the documentation says (`rel="deprecation"`), and the operation that follows this one (`rel="successor-version"`), as links
         *     in the form of RFC 8288. Refusals carry it as well.
         * @example <https://dcm.example/docs#submitPaymentMessageAlias>; rel="deprecation"; type="text/html"
         */
        SuccessorLink: string;
        /**
         * @description Since when the operation is deprecated, in Unix seconds after an `@` (RFC 9745); only where it is.
         * @example @1795737600
         */
        DeprecationIfAny: string;
        /**
         * @description What the documentation says, and the operation that follows this one (RFC 8288); only where it is deprecated.
         * @example <https://dcm.example/docs#submitPaymentMessageAlias>; rel="deprecation"; type="text/html"
         */
        SuccessorLinkIfAny: string;
        /**
         * @description The request's identifier, new for each: with it the platform's staff finds what happened to the request.
         * @example 0b6f2a9d-5a41-4a0e-8c35-6f2f9f1f7e10
         */
        RequestId: components["schemas"]["Guid"];
        /**
         * @description The answer is what its media type says and nothing else.
         * @example nosniff
         */
        NoSniff: "nosniff";
        /**
         * @description The answer may not be kept.
         * @example no-store
         */
        NoStore: "no-store";
        /**
         * @description The methods that the path has.
         * @example GET, HEAD
         */
        Allow: string;
        /**
         * @description What a page may load and run: nothing of others.
         * @example default-src 'none'; img-src 'self' data:
         */
        PageSecurity: string;
        /**
         * @description Pages only: what they may load and run, which is nothing of others.
         * @example default-src 'none'; img-src 'self' data:
         */
        PageSecurityIfPage: string;
        /**
         * @description Pages only: their address, which names the order, is told to nobody.
         * @example no-referrer
         */
        PageReferrerIfPage: string;
        /**
         * @description Pages only: nobody may show them inside of another.
         * @example DENY
         */
        PageFrameIfPage: string;
        /**
         * @description A page's address, which names the order, is told to nobody.
         * @example no-referrer
         */
        PageReferrer: string;
        /**
         * @description Nobody may show the page inside of another.
         * @example DENY
         */
        PageFrame: string;
    };
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    showPaymentPage: {
        parameters: {
            query: {
                /** @description The order's identifier. */
                id: components["parameters"]["OrderIdQuery"];
                /** @description 0 for the QR code, 1 for the banks' deep links; without it, what suits the device. */
                mobile?: 0 | 1;
                /** @description The language of the page; without it, what the browser prefers. */
                lang?: "uk" | "en";
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The page, or the order's state for a program. */
            200: {
                headers: {
                    /** @description The headers of the request that the view was chosen by; only where `mobile` is not given. */
                    Vary?: "Sec-CH-UA-Mobile, User-Agent";
                    "X-Request-Id": components["headers"]["RequestId"];
                    "X-Content-Type-Options": components["headers"]["NoSniff"];
                    "Cache-Control": components["headers"]["NoStore"];
                    "Content-Security-Policy": components["headers"]["PageSecurityIfPage"];
                    "Referrer-Policy": components["headers"]["PageReferrerIfPage"];
                    "X-Frame-Options": components["headers"]["PageFrameIfPage"];
                    [name: string]: unknown;
                };
                content: {
                    /** @example <!doctype html><html lang="uk"><head><title>До сплати 1 000,00 ₴</title></head><body>…</body></html> */
                    "text/html": string;
                    /**
                     * @example {
                     *       "amount": 1000,
                     *       "amount_matched": false,
                     *       "callback_guid": null,
                     *       "code": null,
                     *       "currency": "UAH",
                     *       "order_id": "3aa202bc-6b20-445d-8969-8274b11c66d0",
                     *       "payment_message_external_id": "",
                     *       "payment_message_guid": "00000000-0000-0000-0000-000000000000",
                     *       "purpose": "Payment for goods/services",
                     *       "reason": "",
                     *       "receiver_account_iban": "",
                     *       "ref_found": null,
                     *       "ref_number": "d4ee06f",
                     *       "sender_account_iban": "",
                     *       "status": "Created"
                     *     }
                     */
                    "application/json": components["schemas"]["OrderStatus"];
                };
            };
            400: components["responses"]["PageBadRequest"];
            404: components["responses"]["PageNotFound"];
            405: components["responses"]["MethodNotAllowed"];
            408: components["responses"]["RequestTimeout"];
            417: components["responses"]["ExpectationFailed"];
            429: components["responses"]["PageTooManyRequests"];
            431: components["responses"]["HeaderTooLarge"];
            500: components["responses"]["PageInternalError"];
            503: components["responses"]["PageUnavailable"];
        };
    };
    createOrder: {
        parameters: {
            query?: {
                /** @description The order as a compact JWS signed by the merchant; required unless the body carries it. */
                jwt?: components["schemas"]["OrderToken"];
                /**
                 * @description With `true` the answer also carries the order's details signed by the platform, for deep links that the merchant draws
                 *     itself: a bank's `deeplink_prefix` followed by them, where its `deep_link_content` is `signed_order`.
                 */
                custom?: boolean;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** @description The order's token in a body, instead of in the query. A body without a token is as none. */
        requestBody?: {
            content: {
                /**
                 * @example {
                 *       "jwt": "eyJhbGciOiJSUzI1NiIsImtpZCI6ImV4YW1wbGUtbWVyY2hhbnQiLCJ0eXAiOiJKV1QifQ.eyJzdWIiOiI2MjNlNDYwYi05ZmZkLTQxZGYiLCJleHAiOjE3MTk0OTM4ODEsImlhdCI6MTcwNzEwNTk3MSwiYW10IjoxMDAwLCJjdXIiOiJVQUgiLCJyZWYiOiJkNGVlMDZmIiwicHJwIjoiUGF5bWVudCBmb3IgZ29vZHMvc2VydmljZXMiLCJ1cmwiOiJodHRwczovL3d3dy5jaXR5MjQuY29tIiwiZnJpIjp7ImZybiI6Ikt5aXZwYXJrIExMQyIsImZyYyI6IjA5ODc2NTQzMjEiLCJmcmEiOiJVQTU1Mzg2NzgwOTU2NTY3IiwiZnJiIjoiMzAwMzM1IiwiZnJtIjoiNzc5MSJ9fQ.ki-BjI-SEL7WWxpWR5W7-JPKIIc7V1KTUI1kpjlaPJ1CNEP_vIk764uBWyMCPWdHvo-ecgixHiEgZSpfyUSf8dN2BHh6vNDfBCAJO2PypnyZs_1twm18WHmMkUMn62Sax__UhATpKGi46iJVlnsciiMkHBAI8ifb1FDKMq9grjOsJW0ouTQVnBMgcph0aXs73GgPnUOs-lQqgyoiRogpRwcKvPtIUDzUXhJmbXqsYl15HAKpiWp3mOCrh6DYPBslQucIREm6dAg6mm9i9F7EWFFclMsxjZfmY37gK9TiFltmgGY_AmKQNyRHk4ifpdettcc9M0lk8puEnNN0Y8W8tQ"
                 *     }
                 */
                "application/json": components["schemas"]["OrderEnvelope"];
            };
        };
        responses: {
            /** @description The order exists; the links lead to its payment page. */
            201: {
                headers: {
                    "X-Request-Id": components["headers"]["RequestId"];
                    "X-Content-Type-Options": components["headers"]["NoSniff"];
                    "Cache-Control": components["headers"]["NoStore"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "3aa202bc-6b20-445d-8969-8274b11c66d0",
                     *       "link_deeplinks": "https://api.admin.smaug.armenotech.dev/api/v1/merchants/order?id=3aa202bc-6b20-445d-8969-8274b11c66d0&mobile=1",
                     *       "link_qr": "https://api.admin.smaug.armenotech.dev/api/v1/merchants/order?id=3aa202bc-6b20-445d-8969-8274b11c66d0&mobile=0"
                     *     }
                     */
                    "application/json": components["schemas"]["OrderCreated"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["NotSignedByMerchant"];
            403: components["responses"]["Suspended"];
            405: components["responses"]["MethodNotAllowed"];
            408: components["responses"]["RequestTimeout"];
            /** @description The merchant already has an order with this `ref` and other content. */
            409: {
                headers: {
                    "X-Request-Id": components["headers"]["RequestId"];
                    "X-Content-Type-Options": components["headers"]["NoSniff"];
                    "Cache-Control": components["headers"]["NoStore"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "error": "order with provided ref already exists",
                     *       "code": "REF_IS_ALREADY_TAKEN",
                     *       "field": "ref"
                     *     }
                     */
                    "application/json": components["schemas"]["ErrorAnswer"];
                };
            };
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            417: components["responses"]["ExpectationFailed"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeaderTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["Unavailable"];
        };
    };
    getOrderStatus: {
        parameters: {
            query: {
                /** @description The order's identifier. */
                id: components["parameters"]["OrderIdQuery"];
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The order's state. */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["RequestId"];
                    "X-Content-Type-Options": components["headers"]["NoSniff"];
                    "Cache-Control": components["headers"]["NoStore"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "amount": 21,
                     *       "amount_matched": true,
                     *       "callback_guid": null,
                     *       "code": null,
                     *       "currency": "UAH",
                     *       "order_id": "86f43098-d184-4cb1-8d9b-9720a8c4931e",
                     *       "payment_message_external_id": "",
                     *       "payment_message_guid": "f5401ac1-e6c8-436b-b311-991f57e0934b",
                     *       "purpose": "1730204505640",
                     *       "reason": "Order is paid",
                     *       "receiver_account_iban": "",
                     *       "ref_found": null,
                     *       "ref_number": "1730204505657",
                     *       "sender_account_iban": "",
                     *       "status": "Success"
                     *     }
                     */
                    "application/json": components["schemas"]["OrderStatus"];
                };
            };
            /** @description There is no such order (an empty object), or the request is malformed (an error). */
            400: {
                headers: {
                    "X-Request-Id": components["headers"]["RequestId"];
                    "X-Content-Type-Options": components["headers"]["NoSniff"];
                    "Cache-Control": components["headers"]["NoStore"];
                    [name: string]: unknown;
                };
                content: {
                    /** @example {} */
                    "application/json": components["schemas"]["ErrorAnswer"] | components["schemas"]["EmptyObject"];
                };
            };
            405: components["responses"]["MethodNotAllowed"];
            408: components["responses"]["RequestTimeout"];
            417: components["responses"]["ExpectationFailed"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeaderTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["Unavailable"];
        };
    };
    followOrder: {
        parameters: {
            query: {
                /** @description The order's identifier. */
                id: components["parameters"]["OrderIdQuery"];
            };
            header?: {
                /** @description The `id` of the last event that was received, as `EventSource` sends it. With 3 there is nothing more to follow. */
                "Last-Event-ID"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The events, from the present state on. */
            200: {
                headers: {
                    /** @description Asks proxies to hand events on at once. */
                    "X-Accel-Buffering": "no";
                    "X-Request-Id": components["headers"]["RequestId"];
                    "X-Content-Type-Options": components["headers"]["NoSniff"];
                    "Cache-Control": components["headers"]["NoStore"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example retry: 3000
                     *
                     *     id: 2
                     *     event: state
                     *     data: {"state":"processing"}
                     */
                    "text/event-stream": string;
                };
            };
            /** @description The order is over, and its last event was received already. */
            204: {
                headers: {
                    "X-Request-Id": components["headers"]["RequestId"];
                    "X-Content-Type-Options": components["headers"]["NoSniff"];
                    "Cache-Control": components["headers"]["NoStore"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["BadRequest"];
            404: components["responses"]["OrderNotFound"];
            405: components["responses"]["MethodNotAllowed"];
            408: components["responses"]["RequestTimeout"];
            417: components["responses"]["ExpectationFailed"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeaderTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["Unavailable"];
        };
    };
    cancelOrder: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** @description The cancellation's token. */
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "jwt": "eyJhbGciOiJSUzI1NiIsImtpZCI6ImV4YW1wbGUtbWVyY2hhbnQiLCJ0eXAiOiJKV1QifQ.eyJzdWIiOiI2MjNlNDYwYi05ZmZkLTQxZGYiLCJvcmRlcl9pZCI6IjNhYTIwMmJjLTZiMjAtNDQ1ZC04OTY5LTgyNzRiMTFjNjZkMCIsImlhdCI6MTcwNzEwOTU3MX0.oBDomAPwVu4s1pzx3Cc5sHlze9jhWjS9i4LYX3lqrjunxw8vxJ9KXQS4zmZqUK3gQmEl2KuHM-0dAHcdStuIfqbmlerkvAZ9DlK-IPzE_d01EOO4LOUffq3iTXzrZjPdT-4v6U9ZkT1IPaxY7_B2pPvbHsQe-svSg9CM27qCCN6CjafPdPXONV4trA3a5kjdHfHOIjNPGLI46eMHEOK1xiT3daTZfkO-gRlClqRrXac6QrfiUbQYAoYBCXrbs-kSyoukgjST4WLVeDX4oQp0IV8apXurp47T2TlcMWlxuHZ2rnMVfdPne0kvT5_2Oa53lrzG4IhP27-l5dO5I_wVGQ"
                 *     }
                 */
                "application/json": components["schemas"]["OrderCancellationEnvelope"];
            };
        };
        responses: {
            /** @description The order is not to be paid any more; its state. */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["RequestId"];
                    "X-Content-Type-Options": components["headers"]["NoSniff"];
                    "Cache-Control": components["headers"]["NoStore"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "amount": 1000,
                     *       "amount_matched": false,
                     *       "callback_guid": null,
                     *       "code": null,
                     *       "currency": "UAH",
                     *       "order_id": "3aa202bc-6b20-445d-8969-8274b11c66d0",
                     *       "payment_message_external_id": "",
                     *       "payment_message_guid": "00000000-0000-0000-0000-000000000000",
                     *       "purpose": "Payment for goods/services",
                     *       "reason": "Order is canceled by the merchant",
                     *       "receiver_account_iban": "",
                     *       "ref_found": null,
                     *       "ref_number": "d4ee06f",
                     *       "sender_account_iban": "",
                     *       "status": "Canceled"
                     *     }
                     */
                    "application/json": components["schemas"]["OrderStatus"];
                };
            };
            /** @description The merchant has no such order, or the request is malformed. */
            400: {
                headers: {
                    "X-Request-Id": components["headers"]["RequestId"];
                    "X-Content-Type-Options": components["headers"]["NoSniff"];
                    "Cache-Control": components["headers"]["NoStore"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "error": "order_id names no order of the merchant",
                     *       "code": "ORDER_NOT_FOUND",
                     *       "field": "order_id"
                     *     }
                     */
                    "application/json": components["schemas"]["ErrorAnswer"];
                };
            };
            401: components["responses"]["NotSignedByMerchant"];
            403: components["responses"]["Suspended"];
            405: components["responses"]["MethodNotAllowed"];
            408: components["responses"]["RequestTimeout"];
            /** @description Somebody is paying the order, or has paid it. */
            409: {
                headers: {
                    "X-Request-Id": components["headers"]["RequestId"];
                    "X-Content-Type-Options": components["headers"]["NoSniff"];
                    "Cache-Control": components["headers"]["NoStore"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "error": "the order is being paid, or is paid",
                     *       "code": "ORDER_IS_BEING_PAID",
                     *       "field": "order_id"
                     *     }
                     */
                    "application/json": components["schemas"]["ErrorAnswer"];
                };
            };
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            417: components["responses"]["ExpectationFailed"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeaderTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["Unavailable"];
        };
    };
    listEmitters: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The banks, ordered by name. */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["RequestId"];
                    "X-Content-Type-Options": components["headers"]["NoSniff"];
                    "Cache-Control": components["headers"]["NoStore"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example [
                     *       {
                     *         "name": "TPN Bank",
                     *         "bic": "306500",
                     *         "logo_url": "https://www.tpnbank.example/logo.svg",
                     *         "deeplink_prefix": "tpnbank://pay?order=",
                     *         "deep_link_content": "signed_order"
                     *       }
                     *     ]
                     */
                    "application/json": components["schemas"]["Emitter"][];
                };
            };
            405: components["responses"]["MethodNotAllowed"];
            408: components["responses"]["RequestTimeout"];
            417: components["responses"]["ExpectationFailed"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeaderTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["Unavailable"];
        };
    };
    getOrderForBank: {
        parameters: {
            query?: {
                /** @description The order's identifier. */
                id?: components["schemas"]["Guid"];
                /** @description The order's identifier under its other accepted name. Beside `id` it must name the same order. */
                order_id?: components["schemas"]["Guid"];
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The order. */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["RequestId"];
                    "X-Content-Type-Options": components["headers"]["NoSniff"];
                    "Cache-Control": components["headers"]["NoStore"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "3aa202bc-6b20-445d-8969-8274b11c66d0",
                     *       "exp": 1719493881,
                     *       "amt": 1000,
                     *       "cur": "UAH",
                     *       "ref": "d4ee06f",
                     *       "prp": "Payment for goods/services",
                     *       "uid": "623e460b-9ffd-41df",
                     *       "recn": "City24 LLC",
                     *       "recc": "12345678",
                     *       "acc": "UA761372924114433543273694797",
                     *       "mcc": 5999,
                     *       "logo_url": "https://www.city24.com/logo.svg",
                     *       "bic": "380816",
                     *       "fri": {
                     *         "frn": "Kyivpark LLC",
                     *         "frc": "0987654321",
                     *         "fra": "UA55386780956567",
                     *         "frb": "300335",
                     *         "frm": "7791"
                     *       },
                     *       "public_key": {
                     *         "alg": "RS256",
                     *         "e": "AQAB",
                     *         "n": "ruViM21_RGTpqnRJjIy6uxk_sWWkaMLOjnJudY7zNr2kVoyh2u2nYOMnsZj8yd7K-59DxJ02kaaAja2eGcOp1bp2H1iz4mnLGolvyMcnDmWhr_FoXf59Alk2xOasy966fabKnXCB_aywjKgsbTsoA8pqSDnxy5cn4KPY_RiBj9DcqyzIm1_vz7ini36ZqnO48nPTOIGqnOuX_OvSJD_gL6JSBT7jXf9rS3ocmLByM972bFDSwzgNVKK3iJkbLgCLQJvggaaUZKFsih6lf16duz4hY4-yI9QoM7jbbizAk88DeU_GiGvVlOC_OdX1onUJFlKinl6l2Dc_2ujm1GYBBw",
                     *         "kid": "9A21DD62-DA56-402D-87A5-4714B113DAD4",
                     *         "kty": "RSA",
                     *         "use": "sig"
                     *       },
                     *       "status": "Created"
                     *     }
                     */
                    "application/json": components["schemas"]["OrderForBank"];
                };
            };
            /** @description There is no such order, or the request is malformed. */
            400: {
                headers: {
                    "X-Request-Id": components["headers"]["RequestId"];
                    "X-Content-Type-Options": components["headers"]["NoSniff"];
                    "Cache-Control": components["headers"]["NoStore"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "error": "func GetMerchantsOrderNbuJSONHandler() failed. Error: failed to get order by ID: get order by guid err: order not found",
                     *       "code": "ORDER_NOT_FOUND"
                     *     }
                     */
                    "application/json": components["schemas"]["ErrorAnswer"];
                };
            };
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Suspended"];
            405: components["responses"]["MethodNotAllowed"];
            408: components["responses"]["RequestTimeout"];
            417: components["responses"]["ExpectationFailed"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeaderTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["Unavailable"];
        };
    };
    getPaymentMessageByOrder: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The order's identifier. */
                order_id: components["schemas"]["Guid"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: components["responses"]["PaymentMessageFound"];
            400: components["responses"]["PaymentMessageNotFound"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Suspended"];
            405: components["responses"]["MethodNotAllowed"];
            408: components["responses"]["RequestTimeout"];
            417: components["responses"]["ExpectationFailed"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeaderTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["Unavailable"];
        };
    };
    submitPaymentMessage: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The calling bank's own identifier. */
                counterparty_guid: components["parameters"]["CounterpartyGuidPath"];
            };
            cookie?: never;
        };
        requestBody: components["requestBodies"]["SignedPaymentMessage"];
        responses: {
            201: components["responses"]["PaymentMessageAccepted"];
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            405: components["responses"]["MethodNotAllowed"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["PaymentMessageExists"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            417: components["responses"]["ExpectationFailed"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeaderTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["Unavailable"];
        };
    };
    submitPaymentMessageAlias: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: components["requestBodies"]["SignedPaymentMessage"];
        responses: {
            201: components["responses"]["PaymentMessageAcceptedDeprecated"];
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Suspended"];
            405: components["responses"]["MethodNotAllowed"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["PaymentMessageExists"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            417: components["responses"]["ExpectationFailed"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeaderTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["Unavailable"];
        };
    };
    submitPaymentMessageHyphenAlias: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: components["requestBodies"]["SignedPaymentMessage"];
        responses: {
            201: components["responses"]["PaymentMessageAcceptedDeprecated"];
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Suspended"];
            405: components["responses"]["MethodNotAllowed"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["PaymentMessageExists"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            417: components["responses"]["ExpectationFailed"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeaderTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["Unavailable"];
        };
    };
    getPaymentMessage: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The calling bank's own identifier. */
                counterparty_guid: components["parameters"]["CounterpartyGuidPath"];
                /** @description The identifier that the platform answered when it accepted the message. */
                payment_message_guid: components["schemas"]["Guid"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: components["responses"]["PaymentMessageFound"];
            400: components["responses"]["PaymentMessageNotFound"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            405: components["responses"]["MethodNotAllowed"];
            408: components["responses"]["RequestTimeout"];
            417: components["responses"]["ExpectationFailed"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeaderTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["Unavailable"];
        };
    };
    listGrossSettlements: {
        parameters: {
            query?: {
                /** @description How many registers to skip. */
                offset?: number;
                /** @description How many registers to answer at most. */
                limit?: number;
                /** @description Registers created at or after this instant; a bare date means its midnight in Kyiv. */
                from?: components["schemas"]["DateOrInstant"];
                /** @description Registers created before this instant; a bare date means its midnight in Kyiv. */
                to?: components["schemas"]["DateOrInstant"];
                /** @description Which side of the register the bank is on. */
                role?: "Debtor" | "All";
                /** @description Only registers in this state. */
                status?: components["schemas"]["RegisterStatus"];
                /**
                 * @description Only registers that changed at or after this instant, so that the bank that is paid finds what was paid; a bare date means its
                 *     midnight in Kyiv. Where it is given and `from` is not, registers of any age are listed. Whoever asks again and again begins some
                 *     seconds before the last answer, because a change is seen a moment after its instant.
                 */
                updated_from?: components["schemas"]["DateOrInstant"];
            };
            header?: never;
            path: {
                /** @description The calling bank's own identifier. */
                counterparty_guid: components["parameters"]["CounterpartyGuidPath"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description One page of registers, without their payments. */
            200: {
                headers: {
                    /**
                     * @description How many registers match, whatever the page.
                     * @example 1
                     */
                    "X-Total-Count": number;
                    "X-Request-Id": components["headers"]["RequestId"];
                    "X-Content-Type-Options": components["headers"]["NoSniff"];
                    "Cache-Control": components["headers"]["NoStore"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example [
                     *       {
                     *         "id": "1012231",
                     *         "debtor_name": "TPN Bank",
                     *         "debtor_bic": "306500",
                     *         "creditor_name": "Second Bank",
                     *         "creditor_bic": "380816",
                     *         "creditor_code": "12345678",
                     *         "charging_account": "UA063808160041469948322523389",
                     *         "purpose": "Gross settlement register 1012231",
                     *         "period_start": "2023-12-09T22:00:00Z",
                     *         "period_end": "2023-12-10T22:00:00Z",
                     *         "total_amount": "5.00",
                     *         "total_amount_to_pay": "5.00",
                     *         "total_fee_amount": "0.00",
                     *         "currency": "UAH",
                     *         "status": "Sent",
                     *         "created_at": "2023-12-10T22:01:00Z",
                     *         "updated_at": "2023-12-10T22:01:00Z",
                     *         "deleted_at": null
                     *       }
                     *     ]
                     */
                    "application/json": components["schemas"]["Register"][];
                };
            };
            400: components["responses"]["SettlementBadRequest"];
            401: components["responses"]["SettlementUnauthorized"];
            403: components["responses"]["SettlementForbidden"];
            405: components["responses"]["SettlementMethodNotAllowed"];
            408: components["responses"]["SettlementRequestTimeout"];
            417: components["responses"]["SettlementExpectationFailed"];
            429: components["responses"]["SettlementTooManyRequests"];
            431: components["responses"]["HeaderTooLarge"];
            500: components["responses"]["SettlementInternalError"];
            503: components["responses"]["SettlementUnavailable"];
        };
    };
    getGrossSettlement: {
        parameters: {
            query?: {
                /** @description How many payments to answer at most; without it, all of them. */
                payments_limit?: number;
                /** @description Only payments after this one, which was the last of the page before; payments are in the order of their guids. */
                payments_after?: components["schemas"]["Guid"];
            };
            header?: never;
            path: {
                /** @description The calling bank's own identifier. */
                counterparty_guid: components["parameters"]["CounterpartyGuidPath"];
                /** @description The register's identifier. */
                register_id: components["parameters"]["RegisterIdPath"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The register with its payments. */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["RequestId"];
                    "X-Content-Type-Options": components["headers"]["NoSniff"];
                    "Cache-Control": components["headers"]["NoStore"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "1012231",
                     *       "debtor_name": "TPN Bank",
                     *       "debtor_bic": "306500",
                     *       "creditor_name": "Second Bank",
                     *       "creditor_bic": "380816",
                     *       "creditor_code": "12345678",
                     *       "charging_account": "UA063808160041469948322523389",
                     *       "purpose": "Gross settlement register 1012231",
                     *       "period_start": "2023-12-09T22:00:00Z",
                     *       "period_end": "2023-12-10T22:00:00Z",
                     *       "total_amount": "5.00",
                     *       "total_amount_to_pay": "5.00",
                     *       "total_fee_amount": "0.00",
                     *       "currency": "UAH",
                     *       "status": "Sent",
                     *       "created_at": "2023-12-10T22:01:00Z",
                     *       "updated_at": "2023-12-10T22:01:00Z",
                     *       "deleted_at": null,
                     *       "payments": [
                     *         {
                     *           "payment_message_external_id": "112663",
                     *           "payment_message_guid": "28c2c099-79aa-4267-a913-9c0facd654ca",
                     *           "pm_type": "trade",
                     *           "amount": "5.00",
                     *           "fee_amount": "0.00",
                     *           "amount_to_pay": "5.00",
                     *           "issuer_fee": "0.00",
                     *           "currency": "UAH",
                     *           "purpose": "Tesgtft777",
                     *           "recipient_iban": "UA761372924114433543273694797",
                     *           "recipient_agent_id": "4f0d6c1e-7f0b-4c8f-9a53-0a7b5d8f3c21",
                     *           "debtor_iban": "UA761372924114433543273694797",
                     *           "debtor_agent_id": "0b6f2a9d-5a41-4a0e-8c35-6f2f9f1f7e10",
                     *           "register_id": "1012231",
                     *           "created_at": "2023-12-10T10:12:12Z"
                     *         }
                     *       ]
                     *     }
                     */
                    "application/json": components["schemas"]["RegisterWithPayments"];
                };
            };
            /** @description There is no such register, it is another party's, or the request is malformed. */
            400: {
                headers: {
                    "X-Request-Id": components["headers"]["RequestId"];
                    "X-Content-Type-Options": components["headers"]["NoSniff"];
                    "Cache-Control": components["headers"]["NoStore"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "error": "REGISTER_NOT_FOUND",
                     *       "description": "not found"
                     *     }
                     */
                    "application/json": components["schemas"]["SettlementErrorAnswer"];
                };
            };
            401: components["responses"]["SettlementUnauthorized"];
            403: components["responses"]["SettlementForbidden"];
            405: components["responses"]["SettlementMethodNotAllowed"];
            408: components["responses"]["SettlementRequestTimeout"];
            417: components["responses"]["SettlementExpectationFailed"];
            429: components["responses"]["SettlementTooManyRequests"];
            431: components["responses"]["HeaderTooLarge"];
            500: components["responses"]["SettlementInternalError"];
            503: components["responses"]["SettlementUnavailable"];
        };
    };
    payGrossSettlement: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The calling bank's own identifier. */
                counterparty_guid: components["parameters"]["CounterpartyGuidPath"];
                /** @description The register's identifier. */
                register_id: components["parameters"]["RegisterIdPath"];
            };
            cookie?: never;
        };
        /** @description The payment as JSON, or under the bank's signature. */
        requestBody: {
            content: {
                "application/json": components["schemas"]["GrossSettlementPaymentClaims"] | components["schemas"]["GrossSettlementPaymentEnvelope"];
            };
        };
        responses: {
            /** @description The register is paid. */
            201: {
                headers: {
                    "X-Request-Id": components["headers"]["RequestId"];
                    "X-Content-Type-Options": components["headers"]["NoSniff"];
                    "Cache-Control": components["headers"]["NoStore"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "created": "true"
                     *     }
                     */
                    "application/json": components["schemas"]["SettlementAccepted"];
                };
            };
            /** @description The same payment was stated before and is the register's current one; nothing is changed. */
            208: {
                headers: {
                    "X-Request-Id": components["headers"]["RequestId"];
                    "X-Content-Type-Options": components["headers"]["NoSniff"];
                    "Cache-Control": components["headers"]["NoStore"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "created": "true"
                     *     }
                     */
                    "application/json": components["schemas"]["SettlementAccepted"];
                };
            };
            /** @description The request is malformed, or the register is not one that this can be said of; nothing is changed. */
            400: {
                headers: {
                    "X-Request-Id": components["headers"]["RequestId"];
                    "X-Content-Type-Options": components["headers"]["NoSniff"];
                    "Cache-Control": components["headers"]["NoStore"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SettlementErrorAnswer"];
                };
            };
            401: components["responses"]["SettlementUnauthorized"];
            403: components["responses"]["SettlementNotInitiator"];
            405: components["responses"]["SettlementMethodNotAllowed"];
            408: components["responses"]["SettlementTimeout"];
            /** @description What is stated contradicts the register or what was stated before; nothing is changed. */
            409: {
                headers: {
                    "X-Request-Id": components["headers"]["RequestId"];
                    "X-Content-Type-Options": components["headers"]["NoSniff"];
                    "Cache-Control": components["headers"]["NoStore"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SettlementErrorAnswer"];
                };
            };
            413: components["responses"]["SettlementPayloadTooLarge"];
            415: components["responses"]["SettlementUnsupportedMediaType"];
            417: components["responses"]["SettlementExpectationFailed"];
            429: components["responses"]["SettlementTooManyRequests"];
            431: components["responses"]["HeaderTooLarge"];
            500: components["responses"]["SettlementInternalError"];
            503: components["responses"]["SettlementChangeUnavailable"];
        };
    };
    confirmGrossSettlement: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The calling bank's own identifier. */
                counterparty_guid: components["parameters"]["CounterpartyGuidPath"];
                /** @description The register's identifier. */
                register_id: components["parameters"]["RegisterIdPath"];
            };
            cookie?: never;
        };
        /** @description The payment as JSON, or under the bank's signature. */
        requestBody: {
            content: {
                "application/json": components["schemas"]["GrossSettlementConfirmationClaims"] | components["schemas"]["GrossSettlementConfirmationEnvelope"];
            };
        };
        responses: {
            /** @description The outcome is kept. */
            201: {
                headers: {
                    "X-Request-Id": components["headers"]["RequestId"];
                    "X-Content-Type-Options": components["headers"]["NoSniff"];
                    "Cache-Control": components["headers"]["NoStore"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "created": "true"
                     *     }
                     */
                    "application/json": components["schemas"]["SettlementAccepted"];
                };
            };
            /** @description The same outcome was stated before. */
            208: {
                headers: {
                    "X-Request-Id": components["headers"]["RequestId"];
                    "X-Content-Type-Options": components["headers"]["NoSniff"];
                    "Cache-Control": components["headers"]["NoStore"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "created": "true"
                     *     }
                     */
                    "application/json": components["schemas"]["SettlementAccepted"];
                };
            };
            /** @description The request is malformed, or the register is not one that this can be said of; nothing is changed. */
            400: {
                headers: {
                    "X-Request-Id": components["headers"]["RequestId"];
                    "X-Content-Type-Options": components["headers"]["NoSniff"];
                    "Cache-Control": components["headers"]["NoStore"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SettlementErrorAnswer"];
                };
            };
            401: components["responses"]["SettlementUnauthorized"];
            403: components["responses"]["SettlementNotInitiator"];
            405: components["responses"]["SettlementMethodNotAllowed"];
            408: components["responses"]["SettlementTimeout"];
            /** @description What is stated contradicts the register or what was stated before; nothing is changed. */
            409: {
                headers: {
                    "X-Request-Id": components["headers"]["RequestId"];
                    "X-Content-Type-Options": components["headers"]["NoSniff"];
                    "Cache-Control": components["headers"]["NoStore"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SettlementErrorAnswer"];
                };
            };
            413: components["responses"]["SettlementPayloadTooLarge"];
            415: components["responses"]["SettlementUnsupportedMediaType"];
            417: components["responses"]["SettlementExpectationFailed"];
            429: components["responses"]["SettlementTooManyRequests"];
            431: components["responses"]["HeaderTooLarge"];
            500: components["responses"]["SettlementInternalError"];
            503: components["responses"]["SettlementChangeUnavailable"];
        };
    };
    confirmInternalGrossSettlement: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The calling bank's own identifier. */
                counterparty_guid: components["parameters"]["CounterpartyGuidPath"];
                /** @description The register's identifier. */
                register_id: components["parameters"]["RegisterIdPath"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The register is paid. */
            201: {
                headers: {
                    "X-Request-Id": components["headers"]["RequestId"];
                    "X-Content-Type-Options": components["headers"]["NoSniff"];
                    "Cache-Control": components["headers"]["NoStore"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "created": "true"
                     *     }
                     */
                    "application/json": components["schemas"]["SettlementAccepted"];
                };
            };
            /** @description It was confirmed before. */
            208: {
                headers: {
                    "X-Request-Id": components["headers"]["RequestId"];
                    "X-Content-Type-Options": components["headers"]["NoSniff"];
                    "Cache-Control": components["headers"]["NoStore"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "created": "true"
                     *     }
                     */
                    "application/json": components["schemas"]["SettlementAccepted"];
                };
            };
            /** @description The request is malformed, or the register is not one that this can be said of; nothing is changed. */
            400: {
                headers: {
                    "X-Request-Id": components["headers"]["RequestId"];
                    "X-Content-Type-Options": components["headers"]["NoSniff"];
                    "Cache-Control": components["headers"]["NoStore"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SettlementErrorAnswer"];
                };
            };
            401: components["responses"]["SettlementUnauthorized"];
            403: components["responses"]["SettlementNotInitiator"];
            405: components["responses"]["SettlementMethodNotAllowed"];
            408: components["responses"]["SettlementTimeout"];
            417: components["responses"]["SettlementExpectationFailed"];
            429: components["responses"]["SettlementTooManyRequests"];
            431: components["responses"]["HeaderTooLarge"];
            500: components["responses"]["SettlementInternalError"];
            503: components["responses"]["SettlementChangeUnavailable"];
        };
    };
    addKey: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The calling bank's own identifier. */
                counterparty_guid: components["parameters"]["CounterpartyGuidPath"];
            };
            cookie?: never;
        };
        /** @description A token with NewKeyClaims, signed by the bank with a key that it has. */
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "jwt": "eyJhbGciOiJSUzI1NiIsImtpZCI6ImJhbmstMjAyNi0xIiwidHlwIjoiSldUIn0.eyJqd2siOnsia3R5IjoiRUMiLCJjcnYiOiJQLTI1NiIsIngiOiI0U0xaUVJJOG5iaUxwVU9veEp1S3lwZ3B3bTVCTHpwMXpMaFZfQVZhOU5zIiwieSI6IjFkcnFkWnV5Zk5FUUxGMU9wMnYwWFdfUTlwMTlhaGtGMHBjcmVxUVg5NkUiLCJraWQiOiJiYW5rLTIwMjYtMiIsImFsZyI6IkVTMjU2In0sInJldGlyZV9vdGhlcnNfYXQiOjE3NjcyMjU2MDB9.OsbXqXcPfoF29pf_RzJFd38JKcuIxVY5o0PdlFPp2uoENMn1793vrabhaADiA2gSDB8x49NQQwQXiGpbJY-9ApkrrP-4gbg_Ao94g3P_1nJDgr13LXBjN1u5vEbyAqAq-P1WMX_F0z_53Ek-buthDUpSo5t-oSy1NgMVN8I0GBOOlOMj3yVGOmF3hK-4j72SShPpBE1mtss6EzE2X6Y_3spvv32YbHuAPfVWs4q2TVZUA7iLJBTtT146CdVWcDh-MHYZOKq4_oHKUT1FY7MuSI4VdhEGdByIXCOxqPXCwez-8mDd-09kUHNPk3uUmiaWEdXaqyhHwbTEcL-7Eo9Lng"
                 *     }
                 */
                "application/json": components["schemas"]["NewKeyEnvelope"];
            };
        };
        responses: {
            /** @description The key is good. */
            201: {
                headers: {
                    "X-Request-Id": components["headers"]["RequestId"];
                    "X-Content-Type-Options": components["headers"]["NoSniff"];
                    "Cache-Control": components["headers"]["NoStore"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "kid": "bank-2026-2"
                     *     }
                     */
                    "application/json": components["schemas"]["KeyAdded"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            405: components["responses"]["MethodNotAllowed"];
            408: components["responses"]["RequestTimeout"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            417: components["responses"]["ExpectationFailed"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeaderTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["Unavailable"];
        };
    };
    listMissedCallbacks: {
        parameters: {
            query: {
                /** @description Callbacks created at or after this instant. In a query the plus sign of a time offset must be written as `%2B`. */
                since: components["parameters"]["MissedSince"];
                /** @description How many callbacks to answer at most. */
                limit?: components["parameters"]["MissedLimit"];
                /** @description The `next_cursor` of the page before this one, with the same `since`; of any other list it is refused. */
                cursor?: components["parameters"]["MissedCursor"];
            };
            header?: never;
            path: {
                /** @description The calling bank's own identifier. */
                counterparty_guid: components["parameters"]["CounterpartyGuidPath"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description One page of callbacks. */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["RequestId"];
                    "X-Content-Type-Options": components["headers"]["NoSniff"];
                    "Cache-Control": components["headers"]["NoStore"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "items": [
                     *         {
                     *           "callback_guid": "f5401ac1-e6c8-436b-b311-991f57e0934b",
                     *           "kind": "credit",
                     *           "state": "review",
                     *           "payment_message_guid": "8af3c3f5-7543-4bc2-8a0f-2e27f4d16972",
                     *           "order_id": "a38c4e9a-ee54-4e3c-90a4-d6af5e39cfc7",
                     *           "register_id": null,
                     *           "attempts": 2,
                     *           "created_at": "2023-12-10T10:12:12Z",
                     *           "last_attempt_at": "2023-12-10T10:12:14Z",
                     *           "last_outcome": "refused"
                     *         }
                     *       ],
                     *       "next_cursor": null
                     *     }
                     */
                    "application/json": components["schemas"]["MissedCallbackList"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            405: components["responses"]["MethodNotAllowed"];
            408: components["responses"]["RequestTimeout"];
            417: components["responses"]["ExpectationFailed"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeaderTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["Unavailable"];
        };
    };
    listMerchantMissedCallbacks: {
        parameters: {
            query: {
                /** @description Callbacks created at or after this instant. In a query the plus sign of a time offset must be written as `%2B`. */
                since: components["parameters"]["MissedSince"];
                /** @description How many callbacks to answer at most. */
                limit?: components["parameters"]["MissedLimit"];
                /** @description The `next_cursor` of the page before this one, with the same `since`; of any other list it is refused. */
                cursor?: components["parameters"]["MissedCursor"];
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description One page of callbacks. */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["RequestId"];
                    "X-Content-Type-Options": components["headers"]["NoSniff"];
                    "Cache-Control": components["headers"]["NoStore"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "items": [
                     *         {
                     *           "callback_guid": "f5401ac1-e6c8-436b-b311-991f57e0934b",
                     *           "kind": "expiration",
                     *           "state": "review",
                     *           "payment_message_guid": null,
                     *           "order_id": "a38c4e9a-ee54-4e3c-90a4-d6af5e39cfc7",
                     *           "register_id": null,
                     *           "attempts": 11,
                     *           "created_at": "2023-12-10T10:12:12Z",
                     *           "last_attempt_at": "2023-12-10T10:17:15Z",
                     *           "last_outcome": "timeout"
                     *         }
                     *       ],
                     *       "next_cursor": null
                     *     }
                     */
                    "application/json": components["schemas"]["MissedCallbackList"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Suspended"];
            405: components["responses"]["MethodNotAllowed"];
            408: components["responses"]["RequestTimeout"];
            417: components["responses"]["ExpectationFailed"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeaderTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["Unavailable"];
        };
    };
    getLogo: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The SHA-256 of the picture, in hexadecimal digits. */
                sha256: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The picture. */
            200: {
                headers: {
                    /**
                     * @description It never changes.
                     * @example public, max-age=31536000, immutable
                     */
                    "Cache-Control": "public, max-age=31536000, immutable";
                    "X-Request-Id": components["headers"]["RequestId"];
                    "X-Content-Type-Options": components["headers"]["NoSniff"];
                    [name: string]: unknown;
                };
                content: {
                    /** @example The bytes of a PNG. */
                    "image/png": string;
                };
            };
            400: components["responses"]["BadRequest"];
            /** @description No participant has such a logo (any more). */
            404: {
                headers: {
                    "X-Request-Id": components["headers"]["RequestId"];
                    "X-Content-Type-Options": components["headers"]["NoSniff"];
                    "Cache-Control": components["headers"]["NoStore"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "error": "there is no such logo",
                     *       "code": "LOGO_NOT_FOUND",
                     *       "field": "sha256"
                     *     }
                     */
                    "application/json": components["schemas"]["ErrorAnswer"];
                };
            };
            405: components["responses"]["MethodNotAllowed"];
            408: components["responses"]["RequestTimeout"];
            417: components["responses"]["ExpectationFailed"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeaderTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["Unavailable"];
        };
    };
    getJwks: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The public keys, RS256 first. */
            200: {
                headers: {
                    /**
                     * @description How long the set may be remembered.
                     * @example public, max-age=3600
                     */
                    "Cache-Control": string;
                    "X-Request-Id": components["headers"]["RequestId"];
                    "X-Content-Type-Options": components["headers"]["NoSniff"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "keys": [
                     *         {
                     *           "alg": "RS256",
                     *           "e": "AQAB",
                     *           "n": "9FWZxqvf7BHxQfocqoAYJOWpDsemXcGA1pvxn7mnGWsDuYU4nHa7ES2nHQyVW-hb4zYAtb9So2xkOWiN_6sug6zWSiwxVVFKQ8Om-FJa8G_JpWZun6ZcmYvSik5CrL1-ghXr9Yilpo8lapbNR-u8n-QQ9EvPML9QhPWniNhV0MnygTXhASf3XuPu7pMmDUZExIHjo2Hi9eJmaapPoMxsn-GmiE4vYuGp2cm3H61mxg062S2FISWSGPNYZfcIXzq7y-DXqyivfWCylRYfEON_UbeREpTGKDu4j_K_3x8w4qH0iDXRQS8mOcuhOEmBb07Yaxfc24x9p7kEMSFvKyi_Yw",
                     *           "kid": "example-platform",
                     *           "kty": "RSA",
                     *           "use": "sig"
                     *         }
                     *       ]
                     *     }
                     */
                    "application/json": components["schemas"]["JwkSet"];
                };
            };
            405: components["responses"]["MethodNotAllowed"];
            408: components["responses"]["RequestTimeout"];
            417: components["responses"]["ExpectationFailed"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeaderTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["Unavailable"];
        };
    };
    getOpenapiYaml: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The document. */
            200: {
                headers: {
                    ETag: components["headers"]["EntityTag"];
                    "Cache-Control": components["headers"]["AskedAboutBeforeUse"];
                    "X-Request-Id": components["headers"]["RequestId"];
                    "X-Content-Type-Options": components["headers"]["NoSniff"];
                    [name: string]: unknown;
                };
                content: {
                    /** @example openapi: 3.1.0 */
                    "application/yaml": string;
                };
            };
            304: components["responses"]["NotModified"];
            405: components["responses"]["MethodNotAllowed"];
            408: components["responses"]["RequestTimeout"];
            417: components["responses"]["ExpectationFailed"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeaderTooLarge"];
            500: components["responses"]["InternalError"];
        };
    };
    getOpenapiJson: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The document. */
            200: {
                headers: {
                    ETag: components["headers"]["EntityTag"];
                    "Cache-Control": components["headers"]["AskedAboutBeforeUse"];
                    "X-Request-Id": components["headers"]["RequestId"];
                    "X-Content-Type-Options": components["headers"]["NoSniff"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "openapi": "3.1.0"
                     *     }
                     */
                    "application/json": {
                        [key: string]: unknown;
                    };
                };
            };
            304: components["responses"]["NotModified"];
            405: components["responses"]["MethodNotAllowed"];
            408: components["responses"]["RequestTimeout"];
            417: components["responses"]["ExpectationFailed"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeaderTooLarge"];
            500: components["responses"]["InternalError"];
        };
    };
    getDocs: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The page. */
            200: {
                headers: {
                    ETag: components["headers"]["EntityTag"];
                    "Cache-Control": components["headers"]["AskedAboutBeforeUse"];
                    "X-Request-Id": components["headers"]["RequestId"];
                    "X-Content-Type-Options": components["headers"]["NoSniff"];
                    "Content-Security-Policy": components["headers"]["PageSecurity"];
                    "Referrer-Policy": components["headers"]["PageReferrer"];
                    "X-Frame-Options": components["headers"]["PageFrame"];
                    [name: string]: unknown;
                };
                content: {
                    /** @example <!doctype html><html lang="en"><head><title>DCM gateway</title></head><body>…</body></html> */
                    "text/html": string;
                };
            };
            304: components["responses"]["NotModified"];
            405: components["responses"]["MethodNotAllowed"];
            408: components["responses"]["RequestTimeout"];
            417: components["responses"]["ExpectationFailed"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeaderTooLarge"];
            500: components["responses"]["InternalError"];
        };
    };
    getHealth: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The process lives. */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["RequestId"];
                    "X-Content-Type-Options": components["headers"]["NoSniff"];
                    "Cache-Control": components["headers"]["NoStore"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "status": "ok"
                     *     }
                     */
                    "application/json": components["schemas"]["Health"];
                };
            };
            405: components["responses"]["MethodNotAllowed"];
            408: components["responses"]["RequestTimeout"];
            417: components["responses"]["ExpectationFailed"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeaderTooLarge"];
        };
    };
    getReadiness: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Everything is there. */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["RequestId"];
                    "X-Content-Type-Options": components["headers"]["NoSniff"];
                    "Cache-Control": components["headers"]["NoStore"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "status": "ready",
                     *       "dependencies": [
                     *         {
                     *           "dependency": "postgresql",
                     *           "ok": true
                     *         }
                     *       ]
                     *     }
                     */
                    "application/json": components["schemas"]["Readiness"];
                };
            };
            405: components["responses"]["MethodNotAllowed"];
            408: components["responses"]["RequestTimeout"];
            417: components["responses"]["ExpectationFailed"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeaderTooLarge"];
            500: components["responses"]["InternalError"];
            /** @description At least one dependency is missing. */
            503: {
                headers: {
                    "X-Request-Id": components["headers"]["RequestId"];
                    "X-Content-Type-Options": components["headers"]["NoSniff"];
                    "Cache-Control": components["headers"]["NoStore"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "status": "not_ready",
                     *       "dependencies": [
                     *         {
                     *           "dependency": "postgresql",
                     *           "ok": false,
                     *           "problem": "connection refused"
                     *         }
                     *       ]
                     *     }
                     */
                    "application/json": components["schemas"]["Readiness"];
                };
            };
        };
    };
    getMetrics: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The metrics. */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["RequestId"];
                    "X-Content-Type-Options": components["headers"]["NoSniff"];
                    "Cache-Control": components["headers"]["NoStore"];
                    [name: string]: unknown;
                };
                content: {
                    /** @example process_cpu_seconds_total 1.5 */
                    "text/plain": string;
                };
            };
            /** @description The caller may not read the metrics. */
            404: {
                headers: {
                    "X-Request-Id": components["headers"]["RequestId"];
                    "X-Content-Type-Options": components["headers"]["NoSniff"];
                    "Cache-Control": components["headers"]["NoStore"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "error": "there is no such path",
                     *       "code": "ROUTE_NOT_FOUND"
                     *     }
                     */
                    "application/json": components["schemas"]["ErrorAnswer"];
                };
            };
            405: components["responses"]["MethodNotAllowed"];
            408: components["responses"]["RequestTimeout"];
            417: components["responses"]["ExpectationFailed"];
            429: components["responses"]["TooManyRequests"];
            431: components["responses"]["HeaderTooLarge"];
            500: components["responses"]["InternalError"];
        };
    };
    payInBank: {
        parameters: {
            query?: never;
            header: {
                /** @description A compact JWS signed by the platform with the claims of `CxAuthorizationClaims`. */
                "Cx-Authorization": components["parameters"]["CallbackAuthorizationHeader"];
                /**
                 * @description The callback's identifier, the same in every retry, by which the receiver discards repeats.
                 * @example f5401ac1-e6c8-436b-b311-991f57e0934b
                 */
                "X-Callback-Guid": components["parameters"]["CallbackGuidHeader"];
                /** @description What the callback tells, for receivers that take several kinds at one address; also signed as the claim `callback_kind`. */
                "X-Callback-Kind": components["parameters"]["CallbackKindHeader"];
            };
            path?: never;
            cookie?: never;
        };
        /** @description A token with PayInBankClaims, signed by the platform. */
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "jwt": "eyJhbGciOiJSUzI1NiIsImtpZCI6ImV4YW1wbGUtcGxhdGZvcm0iLCJ0eXAiOiJKV1QifQ.eyJwYXltZW50X21lc3NhZ2UiOnsianRpIjoiVDEyZmEyMjEzIiwicGF5bWVudF9tZXNzYWdlX2V4dGVybmFsX2lkIjoiMTEyNjYzIiwiYW1vdW50Ijo1LCJjdXJyZW5jeSI6IlVBSCIsImRlYnRvcl9hZ2VudCI6eyJkZWJ0b3JfYWdlbnRfbmFtZSI6IlRQTiBCYW5rIiwiZGVidG9yX2FnZW50X2JpYyI6IjMwNjUwMCJ9LCJkZWJ0b3IiOnsiZGVidG9yX25hbWUiOiJaQ0xWdzUvOTdnRXhGSzloTWo3ZlpFWXFGcmh4UGJhUmNIV0NpeFlXIiwiZGVidG9yX2lkIjoiR1hXVm5zdnJqRko2UlZGQjVPYnM5T2VsQ1FFck5KN25WcTg9IiwiZGVidG9yX2FjY291bnQiOiJVQTc2MTM3MjkyNDExNDQzMzU0MzI3MzY5NDc5NyJ9LCJjcmVkaXRvcl9hZ2VudCI6eyJjcmVkaXRvcl9hZ2VudF9uYW1lIjoiU2Vjb25kIEJhbmsiLCJjcmVkaXRvcl9hZ2VudF9iaWMiOiIzODA4MTYifSwiY3JlZGl0b3IiOnsiY3JlZGl0b3JfbmFtZSI6ImF5N1MwOHpwbXlZUE5odU8rKzNDeXZiWVowT2EvelBSQ0hRPSIsImNyZWRpdG9yX2lkIjoiR1hXVm5zdnJqRkwyTjJpTlZYbVNJdFVOZ0UvQVlPR2IiLCJjcmVkaXRvcl9hY2NvdW50IjoiVUE3NjEzNzI5MjQxMTQ0MzM1NDMyNzM2OTQ3OTciLCJjcmVkaXRvcl91aWQiOiJiYjk1YTE4Zi1iZDUyLTQ2YWUtYmIxZS0wZTZmNDJiZjQ4ZjUifSwidWx0aW1hdGVfY3JlZGl0b3IiOnsidWx0aW1hdGVfY3JlZGl0b3JfbmFtZSI6Ikdsb2JhbCBQYXltZW50cyBMdGQuIiwidWx0aW1hdGVfY3JlZGl0b3JfaWQiOiIwMDEyMzQ1Njc4IiwidWx0aW1hdGVfY3JlZGl0b3JfaWJhbiI6IlVBNzIzNDQ1OTkzMTE1MjEyMzQ1Njc4IiwidWx0aW1hdGVfY3JlZGl0b3JfYmljIjoiMzAwNjUwIiwidWx0aW1hdGVfY3JlZGl0b3JfbWNjIjoiMTIzNCJ9LCJvcmRlcl9pZCI6ImEzOGM0ZTlhLWVlNTQtNGUzYy05MGE0LWQ2YWY1ZTM5Y2ZjNyIsInB1cnBvc2UiOiJUZXNndGZ0Nzc3IiwibXNnX2NyZWF0aW9uX2RhdGUiOiIyMDIzLTEyLTEwIiwibXNnX2NyZWF0aW9uX3RpbWUiOiIxMjoxMjoxMiIsInBtX3R5cGUiOiJ0cmFkZSIsInNlbmRlcl9hY2NvdW50X3R5cGUiOiJhaWQtcmVsYXRlZCIsImVuY3J5cHRpb24iOnsibm9uY2UiOiIybUJUTzl6M0lPMC9BVjRhIiwiZW5jcnlwdGVkX2tleSI6ImRSRkVvYTM5ZkorR0NmdVhGU2lCRWkwcHRFeHl1VnBSSXhtUndLUWFEZko5cFVMSWhpeEtFZURuT1R6UkhqZWdDeTJxZFk1OERTdWxnZFUyWjljdFY4VXd1VGpyVnIxbThxNHRFQk9nTHExMFNKaXp6TTlZNnBlUUtpWWFPSmM0RUorT2dSWkdxd01heXdzTVR3QnRFZjVlNmtqWWNuR0NZSmJYejMzVTR6VVB5b0R2OVhIOEpqTFBQd0wvNTRVVXhaSitXM3hJQjg4MFZNdkZPZ3pXclZPcXNwaUZZOTJuY2RuYWNhOGNZTTBhdGl4NjJ1NTFPb3M1ei9Lc0VuUkliWjVURVc2TDhmRWI2WVV2aU0wNWg4aWJwZEdtOE9vdWt3TUUyY1NtTUFEWjZNVEh3R0Z1WG9Jby9lN0w0OXpVRDhhdS83MmhnSUc5OHNIYzV4K3FEUT09In0sInB1YmxpY19rZXkiOnsiYWxnIjoiUlMyNTYiLCJlIjoiQVFBQiIsIm4iOiJydVZpTTIxX1JHVHBxblJKakl5NnV4a19zV1drYU1MT2puSnVkWTd6TnIya1ZveWgydTJuWU9NbnNaajh5ZDdLLTU5RHhKMDJrYWFBamEyZUdjT3AxYnAySDFpejRtbkxHb2x2eU1jbkRtV2hyX0ZvWGY1OUFsazJ4T2FzeTk2NmZhYktuWENCX2F5d2pLZ3NiVHNvQThwcVNEbnh5NWNuNEtQWV9SaUJqOURjcXl6SW0xX3Z6N2luaTM2WnFuTzQ4blBUT0lHcW5PdVhfT3ZTSkRfZ0w2SlNCVDdqWGY5clMzb2NtTEJ5TTk3MmJGRFN3emdOVktLM2lKa2JMZ0NMUUp2Z2dhYVVaS0ZzaWg2bGYxNmR1ejRoWTQteUk5UW9NN2piYml6QWs4OERlVV9HaUd2VmxPQ19PZFgxb25VSkZsS2lubDZsMkRjXzJ1am0xR1lCQnciLCJraWQiOiI5QTIxREQ2Mi1EQTU2LTQwMkQtODdBNS00NzE0QjExM0RBRDQiLCJrdHkiOiJSU0EiLCJ1c2UiOiJzaWcifX0sInBheW1lbnRfbWVzc2FnZV9ndWlkIjoiOGFmM2MzZjUtNzU0My00YmMyLThhMGYtMmUyN2Y0ZDE2OTcyIiwic3RhdHVzIjoic3VjY2VzcyIsImlzcyI6Imh0dHBzOi8vYXBpLmFkbWluLnNtYXVnLmFybWVub3RlY2guZGV2IiwiYXVkIjoiNGYwZDZjMWUtN2YwYi00YzhmLTlhNTMtMGE3YjVkOGYzYzIxIiwiaWF0IjoxNzAyMjAzMTMyLCJleHAiOjE3MDIyMDM0MzIsImp0aSI6ImY1NDAxYWMxLWU2YzgtNDM2Yi1iMzExLTk5MWY1N2UwOTM0YiIsImNhbGxiYWNrX2tpbmQiOiJwYXktaW4ifQ.i_YGx1yC_zkHFLExKRBxUJW8i3ewZ9l8MEj0UAar4ixXGecjMMjw5EqMdZYxjSkBWfQ0R-wwVKF7Yov-J58jSIwWca0WGbnenZIgjvbMxDyOzOcEbZCEVsk9BDtTN0lQKtnziFXzgehrEOs6oQzqbPWhXfr8Z5u4zylt0u9WecQ6ITG4bowwnfyvyrIVHaN8CuMW6r1Di81E-KkKex0c-uNHCUfTreYbzpOGi3SRCI2Lu6MAXuzB_DVKDfbYpWP4NdA4XaKGThss-aiMlomIj5mLETGfGRkB8pdEQc5JqdpA5ze09UU694k65vC2kqWBuqRY2rhtbOPFzKOMiuqkXg"
                 *     }
                 */
                "application/json": components["schemas"]["PayInBankEnvelope"];
                /** @example eyJhbGciOiJSUzI1NiIsImtpZCI6ImV4YW1wbGUtcGxhdGZvcm0iLCJ0eXAiOiJKV1QifQ.eyJwYXltZW50X21lc3NhZ2UiOnsianRpIjoiVDEyZmEyMjEzIiwicGF5bWVudF9tZXNzYWdlX2V4dGVybmFsX2lkIjoiMTEyNjYzIiwiYW1vdW50Ijo1LCJjdXJyZW5jeSI6IlVBSCIsImRlYnRvcl9hZ2VudCI6eyJkZWJ0b3JfYWdlbnRfbmFtZSI6IlRQTiBCYW5rIiwiZGVidG9yX2FnZW50X2JpYyI6IjMwNjUwMCJ9LCJkZWJ0b3IiOnsiZGVidG9yX25hbWUiOiJaQ0xWdzUvOTdnRXhGSzloTWo3ZlpFWXFGcmh4UGJhUmNIV0NpeFlXIiwiZGVidG9yX2lkIjoiR1hXVm5zdnJqRko2UlZGQjVPYnM5T2VsQ1FFck5KN25WcTg9IiwiZGVidG9yX2FjY291bnQiOiJVQTc2MTM3MjkyNDExNDQzMzU0MzI3MzY5NDc5NyJ9LCJjcmVkaXRvcl9hZ2VudCI6eyJjcmVkaXRvcl9hZ2VudF9uYW1lIjoiU2Vjb25kIEJhbmsiLCJjcmVkaXRvcl9hZ2VudF9iaWMiOiIzODA4MTYifSwiY3JlZGl0b3IiOnsiY3JlZGl0b3JfbmFtZSI6ImF5N1MwOHpwbXlZUE5odU8rKzNDeXZiWVowT2EvelBSQ0hRPSIsImNyZWRpdG9yX2lkIjoiR1hXVm5zdnJqRkwyTjJpTlZYbVNJdFVOZ0UvQVlPR2IiLCJjcmVkaXRvcl9hY2NvdW50IjoiVUE3NjEzNzI5MjQxMTQ0MzM1NDMyNzM2OTQ3OTciLCJjcmVkaXRvcl91aWQiOiJiYjk1YTE4Zi1iZDUyLTQ2YWUtYmIxZS0wZTZmNDJiZjQ4ZjUifSwidWx0aW1hdGVfY3JlZGl0b3IiOnsidWx0aW1hdGVfY3JlZGl0b3JfbmFtZSI6Ikdsb2JhbCBQYXltZW50cyBMdGQuIiwidWx0aW1hdGVfY3JlZGl0b3JfaWQiOiIwMDEyMzQ1Njc4IiwidWx0aW1hdGVfY3JlZGl0b3JfaWJhbiI6IlVBNzIzNDQ1OTkzMTE1MjEyMzQ1Njc4IiwidWx0aW1hdGVfY3JlZGl0b3JfYmljIjoiMzAwNjUwIiwidWx0aW1hdGVfY3JlZGl0b3JfbWNjIjoiMTIzNCJ9LCJvcmRlcl9pZCI6ImEzOGM0ZTlhLWVlNTQtNGUzYy05MGE0LWQ2YWY1ZTM5Y2ZjNyIsInB1cnBvc2UiOiJUZXNndGZ0Nzc3IiwibXNnX2NyZWF0aW9uX2RhdGUiOiIyMDIzLTEyLTEwIiwibXNnX2NyZWF0aW9uX3RpbWUiOiIxMjoxMjoxMiIsInBtX3R5cGUiOiJ0cmFkZSIsInNlbmRlcl9hY2NvdW50X3R5cGUiOiJhaWQtcmVsYXRlZCIsImVuY3J5cHRpb24iOnsibm9uY2UiOiIybUJUTzl6M0lPMC9BVjRhIiwiZW5jcnlwdGVkX2tleSI6ImRSRkVvYTM5ZkorR0NmdVhGU2lCRWkwcHRFeHl1VnBSSXhtUndLUWFEZko5cFVMSWhpeEtFZURuT1R6UkhqZWdDeTJxZFk1OERTdWxnZFUyWjljdFY4VXd1VGpyVnIxbThxNHRFQk9nTHExMFNKaXp6TTlZNnBlUUtpWWFPSmM0RUorT2dSWkdxd01heXdzTVR3QnRFZjVlNmtqWWNuR0NZSmJYejMzVTR6VVB5b0R2OVhIOEpqTFBQd0wvNTRVVXhaSitXM3hJQjg4MFZNdkZPZ3pXclZPcXNwaUZZOTJuY2RuYWNhOGNZTTBhdGl4NjJ1NTFPb3M1ei9Lc0VuUkliWjVURVc2TDhmRWI2WVV2aU0wNWg4aWJwZEdtOE9vdWt3TUUyY1NtTUFEWjZNVEh3R0Z1WG9Jby9lN0w0OXpVRDhhdS83MmhnSUc5OHNIYzV4K3FEUT09In0sInB1YmxpY19rZXkiOnsiYWxnIjoiUlMyNTYiLCJlIjoiQVFBQiIsIm4iOiJydVZpTTIxX1JHVHBxblJKakl5NnV4a19zV1drYU1MT2puSnVkWTd6TnIya1ZveWgydTJuWU9NbnNaajh5ZDdLLTU5RHhKMDJrYWFBamEyZUdjT3AxYnAySDFpejRtbkxHb2x2eU1jbkRtV2hyX0ZvWGY1OUFsazJ4T2FzeTk2NmZhYktuWENCX2F5d2pLZ3NiVHNvQThwcVNEbnh5NWNuNEtQWV9SaUJqOURjcXl6SW0xX3Z6N2luaTM2WnFuTzQ4blBUT0lHcW5PdVhfT3ZTSkRfZ0w2SlNCVDdqWGY5clMzb2NtTEJ5TTk3MmJGRFN3emdOVktLM2lKa2JMZ0NMUUp2Z2dhYVVaS0ZzaWg2bGYxNmR1ejRoWTQteUk5UW9NN2piYml6QWs4OERlVV9HaUd2VmxPQ19PZFgxb25VSkZsS2lubDZsMkRjXzJ1am0xR1lCQnciLCJraWQiOiI5QTIxREQ2Mi1EQTU2LTQwMkQtODdBNS00NzE0QjExM0RBRDQiLCJrdHkiOiJSU0EiLCJ1c2UiOiJzaWcifX0sInBheW1lbnRfbWVzc2FnZV9ndWlkIjoiOGFmM2MzZjUtNzU0My00YmMyLThhMGYtMmUyN2Y0ZDE2OTcyIiwic3RhdHVzIjoic3VjY2VzcyIsImlzcyI6Imh0dHBzOi8vYXBpLmFkbWluLnNtYXVnLmFybWVub3RlY2guZGV2IiwiYXVkIjoiNGYwZDZjMWUtN2YwYi00YzhmLTlhNTMtMGE3YjVkOGYzYzIxIiwiaWF0IjoxNzAyMjAzMTMyLCJleHAiOjE3MDIyMDM0MzIsImp0aSI6ImY1NDAxYWMxLWU2YzgtNDM2Yi1iMzExLTk5MWY1N2UwOTM0YiIsImNhbGxiYWNrX2tpbmQiOiJwYXktaW4ifQ.i_YGx1yC_zkHFLExKRBxUJW8i3ewZ9l8MEj0UAar4ixXGecjMMjw5EqMdZYxjSkBWfQ0R-wwVKF7Yov-J58jSIwWca0WGbnenZIgjvbMxDyOzOcEbZCEVsk9BDtTN0lQKtnziFXzgehrEOs6oQzqbPWhXfr8Z5u4zylt0u9WecQ6ITG4bowwnfyvyrIVHaN8CuMW6r1Di81E-KkKex0c-uNHCUfTreYbzpOGi3SRCI2Lu6MAXuzB_DVKDfbYpWP4NdA4XaKGThss-aiMlomIj5mLETGfGRkB8pdEQc5JqdpA5ze09UU694k65vC2kqWBuqRY2rhtbOPFzKOMiuqkXg */
                "text/plain": components["schemas"]["CallbackJws"];
            };
        };
        responses: {
            408: components["responses"]["CallbackNotNow"];
            425: components["responses"]["CallbackNotNow"];
            429: components["responses"]["CallbackNotNow"];
            "2XX": components["responses"]["CallbackAccepted"];
            "3XX": components["responses"]["CallbackRedirected"];
            "4XX": components["responses"]["CallbackRefused"];
            "5XX": components["responses"]["CallbackNotNow"];
        };
    };
    payInMerchant: {
        parameters: {
            query?: never;
            header: {
                /** @description A compact JWS signed by the platform with the claims of `CxAuthorizationClaims`. */
                "Cx-Authorization": components["parameters"]["CallbackAuthorizationHeader"];
                /**
                 * @description The callback's identifier, the same in every retry, by which the receiver discards repeats.
                 * @example f5401ac1-e6c8-436b-b311-991f57e0934b
                 */
                "X-Callback-Guid": components["parameters"]["CallbackGuidHeader"];
                /** @description What the callback tells, for receivers that take several kinds at one address; also signed as the claim `callback_kind`. */
                "X-Callback-Kind": components["parameters"]["CallbackKindHeader"];
            };
            path?: never;
            cookie?: never;
        };
        /** @description A token with PayInMerchantClaims, signed by the platform. */
        requestBody: {
            content: {
                "application/json": components["schemas"]["PayInMerchantEnvelope"];
                /** @example eyJhbGciOiJSUzI1NiIsImtpZCI6ImV4YW1wbGUtcGxhdGZvcm0iLCJ0eXAiOiJKV1QifQ.eyJwYXltZW50X21lc3NhZ2VfZXh0ZXJuYWxfaWQiOiI5YzZjNzQ2Yi1kOWNmLTRlYTItYjliNi1iZDk4NGUzODYzY2QiLCJwYXltZW50X21lc3NhZ2VfZ3VpZCI6ImY1NDAxYWMxLWU2YzgtNDM2Yi1iMzExLTk5MWY1N2UwOTM0YiIsImNhbGxiYWNrX2d1aWQiOiJmNTQwMWFjMS1lNmM4LTQzNmItYjMxMS05OTFmNTdlMDkzNGIiLCJhbW91bnQiOjIxLCJjdXJyZW5jeSI6IlVBSCIsInNlbmRlcl9hY2NvdW50X2liYW4iOiJVQTYyMzgwODE2MjgzMTg4NTQxMjA3ODY5MDAwMCIsInJlY2VpdmVyX2FjY291bnRfaWJhbiI6IlVBMDYzODA4MTYwMDQxNDY5OTQ4MzIyNTIzMzg5Iiwib3JkZXJfaWQiOiI4NmY0MzA5OC1kMTg0LTRjYjEtOGQ5Yi05NzIwYThjNDkzMWUiLCJyZWZfZm91bmQiOnRydWUsInJlZl9udW1iZXIiOiIxNzMwMjA0NTA1NjU3IiwiYW1vdW50X21hdGNoZWQiOmZhbHNlLCJwdXJwb3NlIjoiMTczMDIwNDUwNTY0MCIsInN0YXR1cyI6InN1Y2Nlc3MiLCJpc3MiOiJodHRwczovL2FwaS5hZG1pbi5zbWF1Zy5hcm1lbm90ZWNoLmRldiIsImF1ZCI6IjYyM2U0NjBiLTlmZmQtNDFkZiIsImlhdCI6MTcwMjIwMzEzMiwiZXhwIjoxNzAyMjAzNDMyLCJqdGkiOiJmNTQwMWFjMS1lNmM4LTQzNmItYjMxMS05OTFmNTdlMDkzNGIiLCJjYWxsYmFja19raW5kIjoicGF5LWluIn0.j8ahuPxaZ7jAmzV2AFkPbHu4vNUdf6ttQ38a42aWeW-kRLrxAow6jgbuK-wPoH96wiFdO4lPhuJwzmZKfzmwOLqb-gBazOV10D2_2KUVah67Chf1qInx_HaYiyvHH_ce8aTAFUOw6j5_a0oDVbRKeD760s4MCMVm8Gt8JYgm0QwqMOQHELv0rv5vc5hX8JM8kIeNSVsuTKqU2hLmwzpCL_5z2sjuzE7gLvkv-3IycCy5AGIOZcUdKXSbbNCcJqFn0rSUVZplCjv2wcFmabZ3iWqCERZ9JlJcARbpm74kiw3W0j8V4bXRRNFbKZ9eBGxz6YNFqmRnCk5yX3ppxX1QUg */
                "text/plain": components["schemas"]["CallbackJws"];
            };
        };
        responses: {
            408: components["responses"]["CallbackNotNow"];
            425: components["responses"]["CallbackNotNow"];
            429: components["responses"]["CallbackNotNow"];
            "2XX": components["responses"]["CallbackAccepted"];
            "3XX": components["responses"]["CallbackRedirected"];
            "4XX": components["responses"]["CallbackRefused"];
            "5XX": components["responses"]["CallbackNotNow"];
        };
    };
    payOut: {
        parameters: {
            query?: never;
            header: {
                /** @description A compact JWS signed by the platform with the claims of `CxAuthorizationClaims`. */
                "Cx-Authorization": components["parameters"]["CallbackAuthorizationHeader"];
                /**
                 * @description The callback's identifier, the same in every retry, by which the receiver discards repeats.
                 * @example f5401ac1-e6c8-436b-b311-991f57e0934b
                 */
                "X-Callback-Guid": components["parameters"]["CallbackGuidHeader"];
                /** @description What the callback tells, for receivers that take several kinds at one address; also signed as the claim `callback_kind`. */
                "X-Callback-Kind": components["parameters"]["CallbackKindHeader"];
            };
            path?: never;
            cookie?: never;
        };
        /** @description A token with PayOutClaims, signed by the platform. */
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "jwt": "eyJhbGciOiJSUzI1NiIsImtpZCI6ImV4YW1wbGUtcGxhdGZvcm0iLCJ0eXAiOiJKV1QifQ.eyJwYXltZW50X21lc3NhZ2UiOnsianRpIjoiVDEyZmEyMjEzIiwicGF5bWVudF9tZXNzYWdlX2V4dGVybmFsX2lkIjoiMTEyNjYzIiwiYW1vdW50Ijo1LCJjdXJyZW5jeSI6IlVBSCIsImRlYnRvcl9hZ2VudCI6eyJkZWJ0b3JfYWdlbnRfbmFtZSI6IlRQTiBCYW5rIiwiZGVidG9yX2FnZW50X2JpYyI6IjMwNjUwMCJ9LCJkZWJ0b3IiOnsiZGVidG9yX25hbWUiOiJaQ0xWdzUvOTdnRXhGSzloTWo3ZlpFWXFGcmh4UGJhUmNIV0NpeFlXIiwiZGVidG9yX2lkIjoiR1hXVm5zdnJqRko2UlZGQjVPYnM5T2VsQ1FFck5KN25WcTg9IiwiZGVidG9yX2FjY291bnQiOiJVQTc2MTM3MjkyNDExNDQzMzU0MzI3MzY5NDc5NyJ9LCJjcmVkaXRvcl9hZ2VudCI6eyJjcmVkaXRvcl9hZ2VudF9uYW1lIjoiU2Vjb25kIEJhbmsiLCJjcmVkaXRvcl9hZ2VudF9iaWMiOiIzODA4MTYifSwiY3JlZGl0b3IiOnsiY3JlZGl0b3JfbmFtZSI6ImF5N1MwOHpwbXlZUE5odU8rKzNDeXZiWVowT2EvelBSQ0hRPSIsImNyZWRpdG9yX2lkIjoiR1hXVm5zdnJqRkwyTjJpTlZYbVNJdFVOZ0UvQVlPR2IiLCJjcmVkaXRvcl9hY2NvdW50IjoiVUE3NjEzNzI5MjQxMTQ0MzM1NDMyNzM2OTQ3OTciLCJjcmVkaXRvcl91aWQiOiJiYjk1YTE4Zi1iZDUyLTQ2YWUtYmIxZS0wZTZmNDJiZjQ4ZjUifSwidWx0aW1hdGVfY3JlZGl0b3IiOnsidWx0aW1hdGVfY3JlZGl0b3JfbmFtZSI6Ikdsb2JhbCBQYXltZW50cyBMdGQuIiwidWx0aW1hdGVfY3JlZGl0b3JfaWQiOiIwMDEyMzQ1Njc4IiwidWx0aW1hdGVfY3JlZGl0b3JfaWJhbiI6IlVBNzIzNDQ1OTkzMTE1MjEyMzQ1Njc4IiwidWx0aW1hdGVfY3JlZGl0b3JfYmljIjoiMzAwNjUwIiwidWx0aW1hdGVfY3JlZGl0b3JfbWNjIjoiMTIzNCJ9LCJvcmRlcl9pZCI6ImEzOGM0ZTlhLWVlNTQtNGUzYy05MGE0LWQ2YWY1ZTM5Y2ZjNyIsInB1cnBvc2UiOiJUZXNndGZ0Nzc3IiwibXNnX2NyZWF0aW9uX2RhdGUiOiIyMDIzLTEyLTEwIiwibXNnX2NyZWF0aW9uX3RpbWUiOiIxMjoxMjoxMiIsInBtX3R5cGUiOiJ0cmFkZSIsInNlbmRlcl9hY2NvdW50X3R5cGUiOiJhaWQtcmVsYXRlZCIsImVuY3J5cHRpb24iOnsibm9uY2UiOiIybUJUTzl6M0lPMC9BVjRhIiwiZW5jcnlwdGVkX2tleSI6ImRSRkVvYTM5ZkorR0NmdVhGU2lCRWkwcHRFeHl1VnBSSXhtUndLUWFEZko5cFVMSWhpeEtFZURuT1R6UkhqZWdDeTJxZFk1OERTdWxnZFUyWjljdFY4VXd1VGpyVnIxbThxNHRFQk9nTHExMFNKaXp6TTlZNnBlUUtpWWFPSmM0RUorT2dSWkdxd01heXdzTVR3QnRFZjVlNmtqWWNuR0NZSmJYejMzVTR6VVB5b0R2OVhIOEpqTFBQd0wvNTRVVXhaSitXM3hJQjg4MFZNdkZPZ3pXclZPcXNwaUZZOTJuY2RuYWNhOGNZTTBhdGl4NjJ1NTFPb3M1ei9Lc0VuUkliWjVURVc2TDhmRWI2WVV2aU0wNWg4aWJwZEdtOE9vdWt3TUUyY1NtTUFEWjZNVEh3R0Z1WG9Jby9lN0w0OXpVRDhhdS83MmhnSUc5OHNIYzV4K3FEUT09In0sInB1YmxpY19rZXkiOnsiYWxnIjoiUlMyNTYiLCJlIjoiQVFBQiIsIm4iOiJydVZpTTIxX1JHVHBxblJKakl5NnV4a19zV1drYU1MT2puSnVkWTd6TnIya1ZveWgydTJuWU9NbnNaajh5ZDdLLTU5RHhKMDJrYWFBamEyZUdjT3AxYnAySDFpejRtbkxHb2x2eU1jbkRtV2hyX0ZvWGY1OUFsazJ4T2FzeTk2NmZhYktuWENCX2F5d2pLZ3NiVHNvQThwcVNEbnh5NWNuNEtQWV9SaUJqOURjcXl6SW0xX3Z6N2luaTM2WnFuTzQ4blBUT0lHcW5PdVhfT3ZTSkRfZ0w2SlNCVDdqWGY5clMzb2NtTEJ5TTk3MmJGRFN3emdOVktLM2lKa2JMZ0NMUUp2Z2dhYVVaS0ZzaWg2bGYxNmR1ejRoWTQteUk5UW9NN2piYml6QWs4OERlVV9HaUd2VmxPQ19PZFgxb25VSkZsS2lubDZsMkRjXzJ1am0xR1lCQnciLCJraWQiOiI5QTIxREQ2Mi1EQTU2LTQwMkQtODdBNS00NzE0QjExM0RBRDQiLCJrdHkiOiJSU0EiLCJ1c2UiOiJzaWcifX0sInBheW1lbnRfbWVzc2FnZV9ndWlkIjoiOGFmM2MzZjUtNzU0My00YmMyLThhMGYtMmUyN2Y0ZDE2OTcyIiwic3RhdHVzIjoic3VjY2VzcyIsInJlYXNvbiI6IlBheW1lbnQgbWVzc2FnZSBpcyBhcHByb3ZlZCBieSB0aGUgcmVjZWl2ZXIncyBiYW5rLiBNZXJjaGFudCBpcyBpbmZvcm1lZCBieSB0aGUgY2FsbGJhY2siLCJpc3MiOiJodHRwczovL2FwaS5hZG1pbi5zbWF1Zy5hcm1lbm90ZWNoLmRldiIsImF1ZCI6IjBiNmYyYTlkLTVhNDEtNGEwZS04YzM1LTZmMmY5ZjFmN2UxMCIsImlhdCI6MTcwMjIwMzEzMiwiZXhwIjoxNzAyMjAzNDMyLCJqdGkiOiJmNTQwMWFjMS1lNmM4LTQzNmItYjMxMS05OTFmNTdlMDkzNGIiLCJjYWxsYmFja19raW5kIjoicGF5LW91dCJ9.uTGvD5pcZbgLImm15DZJzclillb5tSs-8Lhz5bDCUI8LzxwjuZbRjav1CTmCpGoDeiRmrrtWp7CKL9XnujQwP21hVfKSkNdKbMqi0ro6FrfJuy4bWu9Zrac8dq1jqnyacqETcvW2Qeug_WBPBEuMMERfPN1e_BJB3YVlFmLGgxecKCclVcRzvFTh955eH6t50QGMxJtQoyq_sal0gY6fLEw_dPG3qg9RoOG5OfhEqNrcBC0ucR8UUn4EqMfsPhefbaGD82BQkrEMe-FXPBULDXuYklASHPldax7a1-RNv0chnKO7DBA03BF96VVe5R2KBB8NJJUaskcgPyV_2S0L1g"
                 *     }
                 */
                "application/json": components["schemas"]["PayOutEnvelope"];
                /** @example eyJhbGciOiJSUzI1NiIsImtpZCI6ImV4YW1wbGUtcGxhdGZvcm0iLCJ0eXAiOiJKV1QifQ.eyJwYXltZW50X21lc3NhZ2UiOnsianRpIjoiVDEyZmEyMjEzIiwicGF5bWVudF9tZXNzYWdlX2V4dGVybmFsX2lkIjoiMTEyNjYzIiwiYW1vdW50Ijo1LCJjdXJyZW5jeSI6IlVBSCIsImRlYnRvcl9hZ2VudCI6eyJkZWJ0b3JfYWdlbnRfbmFtZSI6IlRQTiBCYW5rIiwiZGVidG9yX2FnZW50X2JpYyI6IjMwNjUwMCJ9LCJkZWJ0b3IiOnsiZGVidG9yX25hbWUiOiJaQ0xWdzUvOTdnRXhGSzloTWo3ZlpFWXFGcmh4UGJhUmNIV0NpeFlXIiwiZGVidG9yX2lkIjoiR1hXVm5zdnJqRko2UlZGQjVPYnM5T2VsQ1FFck5KN25WcTg9IiwiZGVidG9yX2FjY291bnQiOiJVQTc2MTM3MjkyNDExNDQzMzU0MzI3MzY5NDc5NyJ9LCJjcmVkaXRvcl9hZ2VudCI6eyJjcmVkaXRvcl9hZ2VudF9uYW1lIjoiU2Vjb25kIEJhbmsiLCJjcmVkaXRvcl9hZ2VudF9iaWMiOiIzODA4MTYifSwiY3JlZGl0b3IiOnsiY3JlZGl0b3JfbmFtZSI6ImF5N1MwOHpwbXlZUE5odU8rKzNDeXZiWVowT2EvelBSQ0hRPSIsImNyZWRpdG9yX2lkIjoiR1hXVm5zdnJqRkwyTjJpTlZYbVNJdFVOZ0UvQVlPR2IiLCJjcmVkaXRvcl9hY2NvdW50IjoiVUE3NjEzNzI5MjQxMTQ0MzM1NDMyNzM2OTQ3OTciLCJjcmVkaXRvcl91aWQiOiJiYjk1YTE4Zi1iZDUyLTQ2YWUtYmIxZS0wZTZmNDJiZjQ4ZjUifSwidWx0aW1hdGVfY3JlZGl0b3IiOnsidWx0aW1hdGVfY3JlZGl0b3JfbmFtZSI6Ikdsb2JhbCBQYXltZW50cyBMdGQuIiwidWx0aW1hdGVfY3JlZGl0b3JfaWQiOiIwMDEyMzQ1Njc4IiwidWx0aW1hdGVfY3JlZGl0b3JfaWJhbiI6IlVBNzIzNDQ1OTkzMTE1MjEyMzQ1Njc4IiwidWx0aW1hdGVfY3JlZGl0b3JfYmljIjoiMzAwNjUwIiwidWx0aW1hdGVfY3JlZGl0b3JfbWNjIjoiMTIzNCJ9LCJvcmRlcl9pZCI6ImEzOGM0ZTlhLWVlNTQtNGUzYy05MGE0LWQ2YWY1ZTM5Y2ZjNyIsInB1cnBvc2UiOiJUZXNndGZ0Nzc3IiwibXNnX2NyZWF0aW9uX2RhdGUiOiIyMDIzLTEyLTEwIiwibXNnX2NyZWF0aW9uX3RpbWUiOiIxMjoxMjoxMiIsInBtX3R5cGUiOiJ0cmFkZSIsInNlbmRlcl9hY2NvdW50X3R5cGUiOiJhaWQtcmVsYXRlZCIsImVuY3J5cHRpb24iOnsibm9uY2UiOiIybUJUTzl6M0lPMC9BVjRhIiwiZW5jcnlwdGVkX2tleSI6ImRSRkVvYTM5ZkorR0NmdVhGU2lCRWkwcHRFeHl1VnBSSXhtUndLUWFEZko5cFVMSWhpeEtFZURuT1R6UkhqZWdDeTJxZFk1OERTdWxnZFUyWjljdFY4VXd1VGpyVnIxbThxNHRFQk9nTHExMFNKaXp6TTlZNnBlUUtpWWFPSmM0RUorT2dSWkdxd01heXdzTVR3QnRFZjVlNmtqWWNuR0NZSmJYejMzVTR6VVB5b0R2OVhIOEpqTFBQd0wvNTRVVXhaSitXM3hJQjg4MFZNdkZPZ3pXclZPcXNwaUZZOTJuY2RuYWNhOGNZTTBhdGl4NjJ1NTFPb3M1ei9Lc0VuUkliWjVURVc2TDhmRWI2WVV2aU0wNWg4aWJwZEdtOE9vdWt3TUUyY1NtTUFEWjZNVEh3R0Z1WG9Jby9lN0w0OXpVRDhhdS83MmhnSUc5OHNIYzV4K3FEUT09In0sInB1YmxpY19rZXkiOnsiYWxnIjoiUlMyNTYiLCJlIjoiQVFBQiIsIm4iOiJydVZpTTIxX1JHVHBxblJKakl5NnV4a19zV1drYU1MT2puSnVkWTd6TnIya1ZveWgydTJuWU9NbnNaajh5ZDdLLTU5RHhKMDJrYWFBamEyZUdjT3AxYnAySDFpejRtbkxHb2x2eU1jbkRtV2hyX0ZvWGY1OUFsazJ4T2FzeTk2NmZhYktuWENCX2F5d2pLZ3NiVHNvQThwcVNEbnh5NWNuNEtQWV9SaUJqOURjcXl6SW0xX3Z6N2luaTM2WnFuTzQ4blBUT0lHcW5PdVhfT3ZTSkRfZ0w2SlNCVDdqWGY5clMzb2NtTEJ5TTk3MmJGRFN3emdOVktLM2lKa2JMZ0NMUUp2Z2dhYVVaS0ZzaWg2bGYxNmR1ejRoWTQteUk5UW9NN2piYml6QWs4OERlVV9HaUd2VmxPQ19PZFgxb25VSkZsS2lubDZsMkRjXzJ1am0xR1lCQnciLCJraWQiOiI5QTIxREQ2Mi1EQTU2LTQwMkQtODdBNS00NzE0QjExM0RBRDQiLCJrdHkiOiJSU0EiLCJ1c2UiOiJzaWcifX0sInBheW1lbnRfbWVzc2FnZV9ndWlkIjoiOGFmM2MzZjUtNzU0My00YmMyLThhMGYtMmUyN2Y0ZDE2OTcyIiwic3RhdHVzIjoic3VjY2VzcyIsInJlYXNvbiI6IlBheW1lbnQgbWVzc2FnZSBpcyBhcHByb3ZlZCBieSB0aGUgcmVjZWl2ZXIncyBiYW5rLiBNZXJjaGFudCBpcyBpbmZvcm1lZCBieSB0aGUgY2FsbGJhY2siLCJpc3MiOiJodHRwczovL2FwaS5hZG1pbi5zbWF1Zy5hcm1lbm90ZWNoLmRldiIsImF1ZCI6IjBiNmYyYTlkLTVhNDEtNGEwZS04YzM1LTZmMmY5ZjFmN2UxMCIsImlhdCI6MTcwMjIwMzEzMiwiZXhwIjoxNzAyMjAzNDMyLCJqdGkiOiJmNTQwMWFjMS1lNmM4LTQzNmItYjMxMS05OTFmNTdlMDkzNGIiLCJjYWxsYmFja19raW5kIjoicGF5LW91dCJ9.uTGvD5pcZbgLImm15DZJzclillb5tSs-8Lhz5bDCUI8LzxwjuZbRjav1CTmCpGoDeiRmrrtWp7CKL9XnujQwP21hVfKSkNdKbMqi0ro6FrfJuy4bWu9Zrac8dq1jqnyacqETcvW2Qeug_WBPBEuMMERfPN1e_BJB3YVlFmLGgxecKCclVcRzvFTh955eH6t50QGMxJtQoyq_sal0gY6fLEw_dPG3qg9RoOG5OfhEqNrcBC0ucR8UUn4EqMfsPhefbaGD82BQkrEMe-FXPBULDXuYklASHPldax7a1-RNv0chnKO7DBA03BF96VVe5R2KBB8NJJUaskcgPyV_2S0L1g */
                "text/plain": components["schemas"]["CallbackJws"];
            };
        };
        responses: {
            408: components["responses"]["CallbackNotNow"];
            425: components["responses"]["CallbackNotNow"];
            429: components["responses"]["CallbackNotNow"];
            "2XX": components["responses"]["CallbackAccepted"];
            "3XX": components["responses"]["CallbackRedirected"];
            "4XX": components["responses"]["CallbackRefused"];
            "5XX": components["responses"]["CallbackNotNow"];
        };
    };
    credit: {
        parameters: {
            query?: never;
            header: {
                /** @description A compact JWS signed by the platform with the claims of `CxAuthorizationClaims`. */
                "Cx-Authorization": components["parameters"]["CallbackAuthorizationHeader"];
                /**
                 * @description The callback's identifier, the same in every retry, by which the receiver discards repeats.
                 * @example f5401ac1-e6c8-436b-b311-991f57e0934b
                 */
                "X-Callback-Guid": components["parameters"]["CallbackGuidHeader"];
                /** @description What the callback tells, for receivers that take several kinds at one address; also signed as the claim `callback_kind`. */
                "X-Callback-Kind": components["parameters"]["CallbackKindHeader"];
            };
            path?: never;
            cookie?: never;
        };
        /** @description A token with CreditClaims, signed by the platform. */
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "jwt": "eyJhbGciOiJSUzI1NiIsImtpZCI6ImV4YW1wbGUtcGxhdGZvcm0iLCJ0eXAiOiJKV1QifQ.eyJwYXltZW50X21lc3NhZ2UiOnsianRpIjoiVDEyZmEyMjEzIiwicGF5bWVudF9tZXNzYWdlX2V4dGVybmFsX2lkIjoiMTEyNjYzIiwiYW1vdW50Ijo1LCJjdXJyZW5jeSI6IlVBSCIsImRlYnRvcl9hZ2VudCI6eyJkZWJ0b3JfYWdlbnRfbmFtZSI6IlRQTiBCYW5rIiwiZGVidG9yX2FnZW50X2JpYyI6IjMwNjUwMCJ9LCJkZWJ0b3IiOnsiZGVidG9yX25hbWUiOiJaQ0xWdzUvOTdnRXhGSzloTWo3ZlpFWXFGcmh4UGJhUmNIV0NpeFlXIiwiZGVidG9yX2lkIjoiR1hXVm5zdnJqRko2UlZGQjVPYnM5T2VsQ1FFck5KN25WcTg9IiwiZGVidG9yX2FjY291bnQiOiJVQTc2MTM3MjkyNDExNDQzMzU0MzI3MzY5NDc5NyJ9LCJjcmVkaXRvcl9hZ2VudCI6eyJjcmVkaXRvcl9hZ2VudF9uYW1lIjoiU2Vjb25kIEJhbmsiLCJjcmVkaXRvcl9hZ2VudF9iaWMiOiIzODA4MTYifSwiY3JlZGl0b3IiOnsiY3JlZGl0b3JfbmFtZSI6ImF5N1MwOHpwbXlZUE5odU8rKzNDeXZiWVowT2EvelBSQ0hRPSIsImNyZWRpdG9yX2lkIjoiR1hXVm5zdnJqRkwyTjJpTlZYbVNJdFVOZ0UvQVlPR2IiLCJjcmVkaXRvcl9hY2NvdW50IjoiVUE3NjEzNzI5MjQxMTQ0MzM1NDMyNzM2OTQ3OTciLCJjcmVkaXRvcl91aWQiOiJiYjk1YTE4Zi1iZDUyLTQ2YWUtYmIxZS0wZTZmNDJiZjQ4ZjUifSwidWx0aW1hdGVfY3JlZGl0b3IiOnsidWx0aW1hdGVfY3JlZGl0b3JfbmFtZSI6Ikdsb2JhbCBQYXltZW50cyBMdGQuIiwidWx0aW1hdGVfY3JlZGl0b3JfaWQiOiIwMDEyMzQ1Njc4IiwidWx0aW1hdGVfY3JlZGl0b3JfaWJhbiI6IlVBNzIzNDQ1OTkzMTE1MjEyMzQ1Njc4IiwidWx0aW1hdGVfY3JlZGl0b3JfYmljIjoiMzAwNjUwIiwidWx0aW1hdGVfY3JlZGl0b3JfbWNjIjoiMTIzNCJ9LCJvcmRlcl9pZCI6ImEzOGM0ZTlhLWVlNTQtNGUzYy05MGE0LWQ2YWY1ZTM5Y2ZjNyIsInB1cnBvc2UiOiJUZXNndGZ0Nzc3IiwibXNnX2NyZWF0aW9uX2RhdGUiOiIyMDIzLTEyLTEwIiwibXNnX2NyZWF0aW9uX3RpbWUiOiIxMjoxMjoxMiIsInBtX3R5cGUiOiJ0cmFkZSIsInNlbmRlcl9hY2NvdW50X3R5cGUiOiJhaWQtcmVsYXRlZCIsImVuY3J5cHRpb24iOnsibm9uY2UiOiIybUJUTzl6M0lPMC9BVjRhIiwiZW5jcnlwdGVkX2tleSI6ImRSRkVvYTM5ZkorR0NmdVhGU2lCRWkwcHRFeHl1VnBSSXhtUndLUWFEZko5cFVMSWhpeEtFZURuT1R6UkhqZWdDeTJxZFk1OERTdWxnZFUyWjljdFY4VXd1VGpyVnIxbThxNHRFQk9nTHExMFNKaXp6TTlZNnBlUUtpWWFPSmM0RUorT2dSWkdxd01heXdzTVR3QnRFZjVlNmtqWWNuR0NZSmJYejMzVTR6VVB5b0R2OVhIOEpqTFBQd0wvNTRVVXhaSitXM3hJQjg4MFZNdkZPZ3pXclZPcXNwaUZZOTJuY2RuYWNhOGNZTTBhdGl4NjJ1NTFPb3M1ei9Lc0VuUkliWjVURVc2TDhmRWI2WVV2aU0wNWg4aWJwZEdtOE9vdWt3TUUyY1NtTUFEWjZNVEh3R0Z1WG9Jby9lN0w0OXpVRDhhdS83MmhnSUc5OHNIYzV4K3FEUT09In0sInB1YmxpY19rZXkiOnsiYWxnIjoiUlMyNTYiLCJlIjoiQVFBQiIsIm4iOiJydVZpTTIxX1JHVHBxblJKakl5NnV4a19zV1drYU1MT2puSnVkWTd6TnIya1ZveWgydTJuWU9NbnNaajh5ZDdLLTU5RHhKMDJrYWFBamEyZUdjT3AxYnAySDFpejRtbkxHb2x2eU1jbkRtV2hyX0ZvWGY1OUFsazJ4T2FzeTk2NmZhYktuWENCX2F5d2pLZ3NiVHNvQThwcVNEbnh5NWNuNEtQWV9SaUJqOURjcXl6SW0xX3Z6N2luaTM2WnFuTzQ4blBUT0lHcW5PdVhfT3ZTSkRfZ0w2SlNCVDdqWGY5clMzb2NtTEJ5TTk3MmJGRFN3emdOVktLM2lKa2JMZ0NMUUp2Z2dhYVVaS0ZzaWg2bGYxNmR1ejRoWTQteUk5UW9NN2piYml6QWs4OERlVV9HaUd2VmxPQ19PZFgxb25VSkZsS2lubDZsMkRjXzJ1am0xR1lCQnciLCJraWQiOiI5QTIxREQ2Mi1EQTU2LTQwMkQtODdBNS00NzE0QjExM0RBRDQiLCJrdHkiOiJSU0EiLCJ1c2UiOiJzaWcifX0sInBheW1lbnRfbWVzc2FnZV9ndWlkIjoiOGFmM2MzZjUtNzU0My00YmMyLThhMGYtMmUyN2Y0ZDE2OTcyIiwic3RhdHVzIjoic3VjY2VzcyIsInJlYXNvbiI6IkNyZWRpdCBpcyBhbGxvd2VkIiwiaXNzIjoiaHR0cHM6Ly9hcGkuYWRtaW4uc21hdWcuYXJtZW5vdGVjaC5kZXYiLCJhdWQiOiI0ZjBkNmMxZS03ZjBiLTRjOGYtOWE1My0wYTdiNWQ4ZjNjMjEiLCJpYXQiOjE3MDIyMDMxMzIsImV4cCI6MTcwMjIwMzQzMiwianRpIjoiZjU0MDFhYzEtZTZjOC00MzZiLWIzMTEtOTkxZjU3ZTA5MzRiIiwiY2FsbGJhY2tfa2luZCI6ImNyZWRpdCJ9.YS12exabQfZZBzr_OZwMxK3FiXx6dT4RjKhZ5C6bu0xFcumxcmUsIFfyKljaiVCyFAagUc73fByE6oNcLLFyhPgkBFiwIx4w3nKX5uG7y49OHhRwJmF2JLU00ZUUcYJN0cxfgcxTEoZyXVYpS8R3vcG5xWFWUXfZwaznq1J2_4l52Bz9vOEfj7UNR0LomeK1PwNjO6wVA_cgnhPXBAlYtLbGs8hxjSjhOYsBmY1Ns-vtCv8Sj8g9RMbWiQFzbSrlp7FJN_c9ERmfGZXa7wosvsBwQSeryHrykxet77LnUhWfG0sGIH6P410NOaQQsYbeHvPq2LgUyn5MU2pzXjaFFA"
                 *     }
                 */
                "application/json": components["schemas"]["CreditEnvelope"];
                /** @example eyJhbGciOiJSUzI1NiIsImtpZCI6ImV4YW1wbGUtcGxhdGZvcm0iLCJ0eXAiOiJKV1QifQ.eyJwYXltZW50X21lc3NhZ2UiOnsianRpIjoiVDEyZmEyMjEzIiwicGF5bWVudF9tZXNzYWdlX2V4dGVybmFsX2lkIjoiMTEyNjYzIiwiYW1vdW50Ijo1LCJjdXJyZW5jeSI6IlVBSCIsImRlYnRvcl9hZ2VudCI6eyJkZWJ0b3JfYWdlbnRfbmFtZSI6IlRQTiBCYW5rIiwiZGVidG9yX2FnZW50X2JpYyI6IjMwNjUwMCJ9LCJkZWJ0b3IiOnsiZGVidG9yX25hbWUiOiJaQ0xWdzUvOTdnRXhGSzloTWo3ZlpFWXFGcmh4UGJhUmNIV0NpeFlXIiwiZGVidG9yX2lkIjoiR1hXVm5zdnJqRko2UlZGQjVPYnM5T2VsQ1FFck5KN25WcTg9IiwiZGVidG9yX2FjY291bnQiOiJVQTc2MTM3MjkyNDExNDQzMzU0MzI3MzY5NDc5NyJ9LCJjcmVkaXRvcl9hZ2VudCI6eyJjcmVkaXRvcl9hZ2VudF9uYW1lIjoiU2Vjb25kIEJhbmsiLCJjcmVkaXRvcl9hZ2VudF9iaWMiOiIzODA4MTYifSwiY3JlZGl0b3IiOnsiY3JlZGl0b3JfbmFtZSI6ImF5N1MwOHpwbXlZUE5odU8rKzNDeXZiWVowT2EvelBSQ0hRPSIsImNyZWRpdG9yX2lkIjoiR1hXVm5zdnJqRkwyTjJpTlZYbVNJdFVOZ0UvQVlPR2IiLCJjcmVkaXRvcl9hY2NvdW50IjoiVUE3NjEzNzI5MjQxMTQ0MzM1NDMyNzM2OTQ3OTciLCJjcmVkaXRvcl91aWQiOiJiYjk1YTE4Zi1iZDUyLTQ2YWUtYmIxZS0wZTZmNDJiZjQ4ZjUifSwidWx0aW1hdGVfY3JlZGl0b3IiOnsidWx0aW1hdGVfY3JlZGl0b3JfbmFtZSI6Ikdsb2JhbCBQYXltZW50cyBMdGQuIiwidWx0aW1hdGVfY3JlZGl0b3JfaWQiOiIwMDEyMzQ1Njc4IiwidWx0aW1hdGVfY3JlZGl0b3JfaWJhbiI6IlVBNzIzNDQ1OTkzMTE1MjEyMzQ1Njc4IiwidWx0aW1hdGVfY3JlZGl0b3JfYmljIjoiMzAwNjUwIiwidWx0aW1hdGVfY3JlZGl0b3JfbWNjIjoiMTIzNCJ9LCJvcmRlcl9pZCI6ImEzOGM0ZTlhLWVlNTQtNGUzYy05MGE0LWQ2YWY1ZTM5Y2ZjNyIsInB1cnBvc2UiOiJUZXNndGZ0Nzc3IiwibXNnX2NyZWF0aW9uX2RhdGUiOiIyMDIzLTEyLTEwIiwibXNnX2NyZWF0aW9uX3RpbWUiOiIxMjoxMjoxMiIsInBtX3R5cGUiOiJ0cmFkZSIsInNlbmRlcl9hY2NvdW50X3R5cGUiOiJhaWQtcmVsYXRlZCIsImVuY3J5cHRpb24iOnsibm9uY2UiOiIybUJUTzl6M0lPMC9BVjRhIiwiZW5jcnlwdGVkX2tleSI6ImRSRkVvYTM5ZkorR0NmdVhGU2lCRWkwcHRFeHl1VnBSSXhtUndLUWFEZko5cFVMSWhpeEtFZURuT1R6UkhqZWdDeTJxZFk1OERTdWxnZFUyWjljdFY4VXd1VGpyVnIxbThxNHRFQk9nTHExMFNKaXp6TTlZNnBlUUtpWWFPSmM0RUorT2dSWkdxd01heXdzTVR3QnRFZjVlNmtqWWNuR0NZSmJYejMzVTR6VVB5b0R2OVhIOEpqTFBQd0wvNTRVVXhaSitXM3hJQjg4MFZNdkZPZ3pXclZPcXNwaUZZOTJuY2RuYWNhOGNZTTBhdGl4NjJ1NTFPb3M1ei9Lc0VuUkliWjVURVc2TDhmRWI2WVV2aU0wNWg4aWJwZEdtOE9vdWt3TUUyY1NtTUFEWjZNVEh3R0Z1WG9Jby9lN0w0OXpVRDhhdS83MmhnSUc5OHNIYzV4K3FEUT09In0sInB1YmxpY19rZXkiOnsiYWxnIjoiUlMyNTYiLCJlIjoiQVFBQiIsIm4iOiJydVZpTTIxX1JHVHBxblJKakl5NnV4a19zV1drYU1MT2puSnVkWTd6TnIya1ZveWgydTJuWU9NbnNaajh5ZDdLLTU5RHhKMDJrYWFBamEyZUdjT3AxYnAySDFpejRtbkxHb2x2eU1jbkRtV2hyX0ZvWGY1OUFsazJ4T2FzeTk2NmZhYktuWENCX2F5d2pLZ3NiVHNvQThwcVNEbnh5NWNuNEtQWV9SaUJqOURjcXl6SW0xX3Z6N2luaTM2WnFuTzQ4blBUT0lHcW5PdVhfT3ZTSkRfZ0w2SlNCVDdqWGY5clMzb2NtTEJ5TTk3MmJGRFN3emdOVktLM2lKa2JMZ0NMUUp2Z2dhYVVaS0ZzaWg2bGYxNmR1ejRoWTQteUk5UW9NN2piYml6QWs4OERlVV9HaUd2VmxPQ19PZFgxb25VSkZsS2lubDZsMkRjXzJ1am0xR1lCQnciLCJraWQiOiI5QTIxREQ2Mi1EQTU2LTQwMkQtODdBNS00NzE0QjExM0RBRDQiLCJrdHkiOiJSU0EiLCJ1c2UiOiJzaWcifX0sInBheW1lbnRfbWVzc2FnZV9ndWlkIjoiOGFmM2MzZjUtNzU0My00YmMyLThhMGYtMmUyN2Y0ZDE2OTcyIiwic3RhdHVzIjoic3VjY2VzcyIsInJlYXNvbiI6IkNyZWRpdCBpcyBhbGxvd2VkIiwiaXNzIjoiaHR0cHM6Ly9hcGkuYWRtaW4uc21hdWcuYXJtZW5vdGVjaC5kZXYiLCJhdWQiOiI0ZjBkNmMxZS03ZjBiLTRjOGYtOWE1My0wYTdiNWQ4ZjNjMjEiLCJpYXQiOjE3MDIyMDMxMzIsImV4cCI6MTcwMjIwMzQzMiwianRpIjoiZjU0MDFhYzEtZTZjOC00MzZiLWIzMTEtOTkxZjU3ZTA5MzRiIiwiY2FsbGJhY2tfa2luZCI6ImNyZWRpdCJ9.YS12exabQfZZBzr_OZwMxK3FiXx6dT4RjKhZ5C6bu0xFcumxcmUsIFfyKljaiVCyFAagUc73fByE6oNcLLFyhPgkBFiwIx4w3nKX5uG7y49OHhRwJmF2JLU00ZUUcYJN0cxfgcxTEoZyXVYpS8R3vcG5xWFWUXfZwaznq1J2_4l52Bz9vOEfj7UNR0LomeK1PwNjO6wVA_cgnhPXBAlYtLbGs8hxjSjhOYsBmY1Ns-vtCv8Sj8g9RMbWiQFzbSrlp7FJN_c9ERmfGZXa7wosvsBwQSeryHrykxet77LnUhWfG0sGIH6P410NOaQQsYbeHvPq2LgUyn5MU2pzXjaFFA */
                "text/plain": components["schemas"]["CallbackJws"];
            };
        };
        responses: {
            408: components["responses"]["CallbackNotNow"];
            425: components["responses"]["CallbackNotNow"];
            429: components["responses"]["CallbackNotNow"];
            "2XX": components["responses"]["CallbackAccepted"];
            "3XX": components["responses"]["CallbackRedirected"];
            "4XX": components["responses"]["CallbackRefused"];
            "5XX": components["responses"]["CallbackNotNow"];
        };
    };
    ping: {
        parameters: {
            query?: never;
            header: {
                /** @description A compact JWS signed by the platform with the claims of `CxAuthorizationClaims`. */
                "Cx-Authorization": components["parameters"]["CallbackAuthorizationHeader"];
                /**
                 * @description The callback's identifier, the same in every retry, by which the receiver discards repeats.
                 * @example f5401ac1-e6c8-436b-b311-991f57e0934b
                 */
                "X-Callback-Guid": components["parameters"]["CallbackGuidHeader"];
                /** @description What the callback tells, for receivers that take several kinds at one address; also signed as the claim `callback_kind`. */
                "X-Callback-Kind": components["parameters"]["CallbackKindHeader"];
            };
            path?: never;
            cookie?: never;
        };
        /** @description A token with PingClaims, signed by the platform. */
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "jwt": "eyJhbGciOiJSUzI1NiIsImtpZCI6ImV4YW1wbGUtcGxhdGZvcm0iLCJ0eXAiOiJKV1QifQ.eyJjaGFsbGVuZ2UiOiJiMmUxYzBvUHRKZG1NZmdrMnVQUzBXYjRlOG5ZdlhiaHhQNm0zS3ExcjVzIiwiaXNzIjoiaHR0cHM6Ly9hcGkuYWRtaW4uc21hdWcuYXJtZW5vdGVjaC5kZXYiLCJhdWQiOiI0ZjBkNmMxZS03ZjBiLTRjOGYtOWE1My0wYTdiNWQ4ZjNjMjEiLCJpYXQiOjE3MDIyMDMxMzIsImV4cCI6MTcwMjIwMzQzMiwianRpIjoiZjU0MDFhYzEtZTZjOC00MzZiLWIzMTEtOTkxZjU3ZTA5MzRiIiwiY2FsbGJhY2tfa2luZCI6InBpbmcifQ.WlkuvY5z7PZztoGmDBL1WbxdXZ11FhV7AempnFgXeqYTsXNBzGZ1ocSqb1ac5plFNzqVzqInNh-kTNLRuPT2Zfa0R53Ds7IbU4LzLAkU5NWRNKFjc2AHji-k-7PeNIZAEeub7Yf0ShbI4SYclmqnIOi0xPvfpa31Hnxdsoq8GX-gfhtH1h2kGpeRrYSQ0SLLByhN6dHdtt2tpuvCwiEqwne8kXn04GyqQuHS699r6XwVdlid_DAGguf5lnN1ZQJ4CgSrRXYS391vJgGHzLjj7Jpd7AuoYtjI-3oJ5dv-0XGz0nCcYJmwYM6ie1Zbp2dQFoK_LIxqWTwcWna40Kg-Wg"
                 *     }
                 */
                "application/json": components["schemas"]["PingEnvelope"];
                /** @example eyJhbGciOiJSUzI1NiIsImtpZCI6ImV4YW1wbGUtcGxhdGZvcm0iLCJ0eXAiOiJKV1QifQ.eyJjaGFsbGVuZ2UiOiJiMmUxYzBvUHRKZG1NZmdrMnVQUzBXYjRlOG5ZdlhiaHhQNm0zS3ExcjVzIiwiaXNzIjoiaHR0cHM6Ly9hcGkuYWRtaW4uc21hdWcuYXJtZW5vdGVjaC5kZXYiLCJhdWQiOiI0ZjBkNmMxZS03ZjBiLTRjOGYtOWE1My0wYTdiNWQ4ZjNjMjEiLCJpYXQiOjE3MDIyMDMxMzIsImV4cCI6MTcwMjIwMzQzMiwianRpIjoiZjU0MDFhYzEtZTZjOC00MzZiLWIzMTEtOTkxZjU3ZTA5MzRiIiwiY2FsbGJhY2tfa2luZCI6InBpbmcifQ.WlkuvY5z7PZztoGmDBL1WbxdXZ11FhV7AempnFgXeqYTsXNBzGZ1ocSqb1ac5plFNzqVzqInNh-kTNLRuPT2Zfa0R53Ds7IbU4LzLAkU5NWRNKFjc2AHji-k-7PeNIZAEeub7Yf0ShbI4SYclmqnIOi0xPvfpa31Hnxdsoq8GX-gfhtH1h2kGpeRrYSQ0SLLByhN6dHdtt2tpuvCwiEqwne8kXn04GyqQuHS699r6XwVdlid_DAGguf5lnN1ZQJ4CgSrRXYS391vJgGHzLjj7Jpd7AuoYtjI-3oJ5dv-0XGz0nCcYJmwYM6ie1Zbp2dQFoK_LIxqWTwcWna40Kg-Wg */
                "text/plain": components["schemas"]["CallbackJws"];
            };
        };
        responses: {
            /** @description The address works. */
            "2XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "jwts": [
                     *         "eyJhbGciOiJSUzI1NiIsImtpZCI6IjlBMjFERDYyLURBNTYtNDAyRC04N0E1LTQ3MTRCMTEzREFENCIsInR5cCI6IkpXVCJ9.eyJjaGFsbGVuZ2UiOiJiMmUxYzBvUHRKZG1NZmdrMnVQUzBXYjRlOG5ZdlhiaHhQNm0zS3ExcjVzIn0.lqiebQMaA0wvDZUupEHc4qmGcQidEy7xWJ-n8R-ZIxWRSvihGQixr34q73KsGu6wt8ACpMk-R1-lnkj2UsljEPfPijyERHXvK_azvwB8UcLbX_BITI0fYsB_I0zw1hWmhy-qxRwEMuIuf8W_CIW_B6DoAbDfet24Gbyb9d1edaWhM7rjTizuXzzLwI-Aq-0Qkw3jqiXuFUNOmPFrIHOuXXUnjFJSuOThg4Kbr3kpxG3Flk_QBjcQRiWviefmSHvLWSewehD6PO4fkN7A1hGsP3PSAbVNBrH7EREUaTzSsM3Zg5InPCdPIWuTZmuSPIJZC3NSNIabib-gpBRPgBRTQQ"
                     *       ]
                     *     }
                     */
                    "application/json": components["schemas"]["PingProof"];
                };
            };
            /** @description Redirects are never followed; the address does not take callbacks. */
            "3XX": {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The address does not take callbacks. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The address does not work at this moment. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
        };
    };
    expiration: {
        parameters: {
            query?: never;
            header: {
                /** @description A compact JWS signed by the platform with the claims of `CxAuthorizationClaims`. */
                "Cx-Authorization": components["parameters"]["CallbackAuthorizationHeader"];
                /**
                 * @description The callback's identifier, the same in every retry, by which the receiver discards repeats.
                 * @example f5401ac1-e6c8-436b-b311-991f57e0934b
                 */
                "X-Callback-Guid": components["parameters"]["CallbackGuidHeader"];
                /** @description What the callback tells, for receivers that take several kinds at one address; also signed as the claim `callback_kind`. */
                "X-Callback-Kind": components["parameters"]["CallbackKindHeader"];
            };
            path?: never;
            cookie?: never;
        };
        /** @description The order that expired. */
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "amount": 21,
                 *       "amount_matched": "null",
                 *       "callback_guid": "null",
                 *       "code": 4001,
                 *       "currency": "UAH",
                 *       "order_id": "7af01d72-b46b-4e2c-b6db-02eb64541f62",
                 *       "payment_message_external_id": "null",
                 *       "payment_message_guid": "00000000-0000-0000-0000-000000000000",
                 *       "purpose": "null",
                 *       "reason": "Order is expired",
                 *       "receiver_account_iban": "null",
                 *       "ref_found": "null",
                 *       "ref_number": "q81277312392323",
                 *       "sender_account_iban": "null",
                 *       "status": "reject"
                 *     }
                 */
                "application/json": components["schemas"]["ExpirationBody"];
            };
        };
        responses: {
            408: components["responses"]["CallbackNotNow"];
            425: components["responses"]["CallbackNotNow"];
            429: components["responses"]["CallbackNotNow"];
            "2XX": components["responses"]["CallbackAccepted"];
            "3XX": components["responses"]["CallbackRedirected"];
            "4XX": components["responses"]["CallbackRefused"];
            "5XX": components["responses"]["CallbackNotNow"];
        };
    };
    grossSettlement: {
        parameters: {
            query?: never;
            header: {
                /** @description A compact JWS signed by the platform with the claims of `CxAuthorizationClaims`. */
                "Cx-Authorization": components["parameters"]["CallbackAuthorizationHeader"];
                /**
                 * @description The callback's identifier, the same in every retry, by which the receiver discards repeats.
                 * @example f5401ac1-e6c8-436b-b311-991f57e0934b
                 */
                "X-Callback-Guid": components["parameters"]["CallbackGuidHeader"];
                /** @description What the callback tells, for receivers that take several kinds at one address; also signed as the claim `callback_kind`. */
                "X-Callback-Kind": components["parameters"]["CallbackKindHeader"];
            };
            path?: never;
            cookie?: never;
        };
        /** @description A token with GrossSettlementClaims, signed by the platform. */
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "jwt": "eyJhbGciOiJSUzI1NiIsImtpZCI6ImV4YW1wbGUtcGxhdGZvcm0iLCJ0eXAiOiJKV1QifQ.eyJpZCI6IjEwMTIyMzEiLCJkZWJ0b3JfbmFtZSI6IlRQTiBCYW5rIiwiZGVidG9yX2JpYyI6IjMwNjUwMCIsImNyZWRpdG9yX25hbWUiOiJTZWNvbmQgQmFuayIsImNyZWRpdG9yX2JpYyI6IjM4MDgxNiIsImNyZWRpdG9yX2NvZGUiOiIxMjM0NTY3OCIsImNoYXJnaW5nX2FjY291bnQiOiJVQTA2MzgwODE2MDA0MTQ2OTk0ODMyMjUyMzM4OSIsInB1cnBvc2UiOiJHcm9zcyBzZXR0bGVtZW50IHJlZ2lzdGVyIDEwMTIyMzEiLCJwZXJpb2Rfc3RhcnQiOiIyMDIzLTEyLTA5VDIyOjAwOjAwWiIsInBlcmlvZF9lbmQiOiIyMDIzLTEyLTEwVDIyOjAwOjAwWiIsInRvdGFsX2Ftb3VudCI6IjUuMDAiLCJ0b3RhbF9hbW91bnRfdG9fcGF5IjoiNS4wMCIsInRvdGFsX2ZlZV9hbW91bnQiOiIwLjAwIiwiY3VycmVuY3kiOiJVQUgiLCJzdGF0dXMiOiJTZW50IiwiY3JlYXRlZF9hdCI6IjIwMjMtMTItMTBUMjI6MDE6MDBaIiwidXBkYXRlZF9hdCI6IjIwMjMtMTItMTBUMjI6MDE6MDBaIiwiZGVsZXRlZF9hdCI6bnVsbCwicGF5bWVudHMiOlt7InBheW1lbnRfbWVzc2FnZV9leHRlcm5hbF9pZCI6IjExMjY2MyIsInBheW1lbnRfbWVzc2FnZV9ndWlkIjoiMjhjMmMwOTktNzlhYS00MjY3LWE5MTMtOWMwZmFjZDY1NGNhIiwicG1fdHlwZSI6InRyYWRlIiwiYW1vdW50IjoiNS4wMCIsImZlZV9hbW91bnQiOiIwLjAwIiwiYW1vdW50X3RvX3BheSI6IjUuMDAiLCJpc3N1ZXJfZmVlIjoiMC4wMCIsImN1cnJlbmN5IjoiVUFIIiwicHVycG9zZSI6IlRlc2d0ZnQ3NzciLCJyZWNpcGllbnRfaWJhbiI6IlVBNzYxMzcyOTI0MTE0NDMzNTQzMjczNjk0Nzk3IiwicmVjaXBpZW50X2FnZW50X2lkIjoiNGYwZDZjMWUtN2YwYi00YzhmLTlhNTMtMGE3YjVkOGYzYzIxIiwiZGVidG9yX2liYW4iOiJVQTc2MTM3MjkyNDExNDQzMzU0MzI3MzY5NDc5NyIsImRlYnRvcl9hZ2VudF9pZCI6IjBiNmYyYTlkLTVhNDEtNGEwZS04YzM1LTZmMmY5ZjFmN2UxMCIsInJlZ2lzdGVyX2lkIjoiMTAxMjIzMSIsImNyZWF0ZWRfYXQiOiIyMDIzLTEyLTEwVDEwOjEyOjEyWiJ9XSwiaXNzIjoiaHR0cHM6Ly9hcGkuYWRtaW4uc21hdWcuYXJtZW5vdGVjaC5kZXYiLCJhdWQiOiI0ZjBkNmMxZS03ZjBiLTRjOGYtOWE1My0wYTdiNWQ4ZjNjMjEiLCJpYXQiOjE3MDIyMDMxMzIsImV4cCI6MTcwMjIwMzQzMiwianRpIjoiZjU0MDFhYzEtZTZjOC00MzZiLWIzMTEtOTkxZjU3ZTA5MzRiIiwiY2FsbGJhY2tfa2luZCI6Imdyb3NzLXNldHRsZW1lbnQifQ.mq6pY1rh7dKdXwDhLqbwyIdNEcBN_5DBQGWDmHFxP_yF3JYPsmklRFohaobJH_9sGlSVJf-6Q6HDRrQZA_45TVgP530v6AavZt19Ig1a5cmdvGONHKZhbPgjqVGcqfl5TcaX7jyKZEtJKSk4eK2yJ0oKA3S0hamam_ls5YmGPmsfhAel5E88H7qXr86ZnkeHM5ZlZgFFsCRiizaZPht0wUN_0pbDHr10ltZ-U9OTgZA5dLXX1ayCdZz44FftkyH2Z0w3YM7uzQMrwQA42q-XdV4xuwjWr79XX0XUmCuZrnvpLGKOKxrVhxGpjP_LkOwgRoFQyuFFMHQVk8jZcVqoRA"
                 *     }
                 */
                "application/json": components["schemas"]["GrossSettlementEnvelope"];
                /** @example eyJhbGciOiJSUzI1NiIsImtpZCI6ImV4YW1wbGUtcGxhdGZvcm0iLCJ0eXAiOiJKV1QifQ.eyJpZCI6IjEwMTIyMzEiLCJkZWJ0b3JfbmFtZSI6IlRQTiBCYW5rIiwiZGVidG9yX2JpYyI6IjMwNjUwMCIsImNyZWRpdG9yX25hbWUiOiJTZWNvbmQgQmFuayIsImNyZWRpdG9yX2JpYyI6IjM4MDgxNiIsImNyZWRpdG9yX2NvZGUiOiIxMjM0NTY3OCIsImNoYXJnaW5nX2FjY291bnQiOiJVQTA2MzgwODE2MDA0MTQ2OTk0ODMyMjUyMzM4OSIsInB1cnBvc2UiOiJHcm9zcyBzZXR0bGVtZW50IHJlZ2lzdGVyIDEwMTIyMzEiLCJwZXJpb2Rfc3RhcnQiOiIyMDIzLTEyLTA5VDIyOjAwOjAwWiIsInBlcmlvZF9lbmQiOiIyMDIzLTEyLTEwVDIyOjAwOjAwWiIsInRvdGFsX2Ftb3VudCI6IjUuMDAiLCJ0b3RhbF9hbW91bnRfdG9fcGF5IjoiNS4wMCIsInRvdGFsX2ZlZV9hbW91bnQiOiIwLjAwIiwiY3VycmVuY3kiOiJVQUgiLCJzdGF0dXMiOiJTZW50IiwiY3JlYXRlZF9hdCI6IjIwMjMtMTItMTBUMjI6MDE6MDBaIiwidXBkYXRlZF9hdCI6IjIwMjMtMTItMTBUMjI6MDE6MDBaIiwiZGVsZXRlZF9hdCI6bnVsbCwicGF5bWVudHMiOlt7InBheW1lbnRfbWVzc2FnZV9leHRlcm5hbF9pZCI6IjExMjY2MyIsInBheW1lbnRfbWVzc2FnZV9ndWlkIjoiMjhjMmMwOTktNzlhYS00MjY3LWE5MTMtOWMwZmFjZDY1NGNhIiwicG1fdHlwZSI6InRyYWRlIiwiYW1vdW50IjoiNS4wMCIsImZlZV9hbW91bnQiOiIwLjAwIiwiYW1vdW50X3RvX3BheSI6IjUuMDAiLCJpc3N1ZXJfZmVlIjoiMC4wMCIsImN1cnJlbmN5IjoiVUFIIiwicHVycG9zZSI6IlRlc2d0ZnQ3NzciLCJyZWNpcGllbnRfaWJhbiI6IlVBNzYxMzcyOTI0MTE0NDMzNTQzMjczNjk0Nzk3IiwicmVjaXBpZW50X2FnZW50X2lkIjoiNGYwZDZjMWUtN2YwYi00YzhmLTlhNTMtMGE3YjVkOGYzYzIxIiwiZGVidG9yX2liYW4iOiJVQTc2MTM3MjkyNDExNDQzMzU0MzI3MzY5NDc5NyIsImRlYnRvcl9hZ2VudF9pZCI6IjBiNmYyYTlkLTVhNDEtNGEwZS04YzM1LTZmMmY5ZjFmN2UxMCIsInJlZ2lzdGVyX2lkIjoiMTAxMjIzMSIsImNyZWF0ZWRfYXQiOiIyMDIzLTEyLTEwVDEwOjEyOjEyWiJ9XSwiaXNzIjoiaHR0cHM6Ly9hcGkuYWRtaW4uc21hdWcuYXJtZW5vdGVjaC5kZXYiLCJhdWQiOiI0ZjBkNmMxZS03ZjBiLTRjOGYtOWE1My0wYTdiNWQ4ZjNjMjEiLCJpYXQiOjE3MDIyMDMxMzIsImV4cCI6MTcwMjIwMzQzMiwianRpIjoiZjU0MDFhYzEtZTZjOC00MzZiLWIzMTEtOTkxZjU3ZTA5MzRiIiwiY2FsbGJhY2tfa2luZCI6Imdyb3NzLXNldHRsZW1lbnQifQ.mq6pY1rh7dKdXwDhLqbwyIdNEcBN_5DBQGWDmHFxP_yF3JYPsmklRFohaobJH_9sGlSVJf-6Q6HDRrQZA_45TVgP530v6AavZt19Ig1a5cmdvGONHKZhbPgjqVGcqfl5TcaX7jyKZEtJKSk4eK2yJ0oKA3S0hamam_ls5YmGPmsfhAel5E88H7qXr86ZnkeHM5ZlZgFFsCRiizaZPht0wUN_0pbDHr10ltZ-U9OTgZA5dLXX1ayCdZz44FftkyH2Z0w3YM7uzQMrwQA42q-XdV4xuwjWr79XX0XUmCuZrnvpLGKOKxrVhxGpjP_LkOwgRoFQyuFFMHQVk8jZcVqoRA */
                "text/plain": components["schemas"]["CallbackJws"];
            };
        };
        responses: {
            408: components["responses"]["CallbackNotNow"];
            425: components["responses"]["CallbackNotNow"];
            429: components["responses"]["CallbackNotNow"];
            "2XX": components["responses"]["CallbackAccepted"];
            "3XX": components["responses"]["CallbackRedirected"];
            "4XX": components["responses"]["CallbackRefused"];
            "5XX": components["responses"]["CallbackNotNow"];
        };
    };
}
