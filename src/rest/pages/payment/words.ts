import { reasons } from "../../../../gen/rest/webhooks.ts";

/** The languages of the payment page. */
export const languages = ["uk", "en"] as const;
export type Language = (typeof languages)[number];

/** `{n}` and `{bank}` are filled in where the text is shown, by the page or by its script. */
const uk = {
  ownName: "Українська",
  language: "Мова",
  order: "Замовлення",
  toPay: "До сплати",
  payBy: "Оплатіть до",
  kyiv: "(Київ)",
  leftHours: "ще {h} год {m} хв",
  leftMinutes: "ще {m} хв",
  leftSeconds: "ще {s} с",
  leftSpoken: "Залишилося {m} хв",
  details: "Деталі замовлення",
  payee: "Отримувач у застосунку банку",
  taxCode: "код",
  orderNumber: "Номер замовлення",
  paymentNumber: "Номер платежу",
  listening: "Чекаємо на оплату. Сторінка оновиться сама.",
  codeTitle: "Скануйте код, щоб оплатити",
  codeName: "QR-код для оплати цього замовлення",
  codeSteps: [
    "Відкрийте на телефоні застосунок свого банку або камеру.",
    "Наведіть на код.",
    "Звірте отримувача й суму та підтвердьте.",
  ],
  check: "Перевірити стан оплати",
  payHere: "Оплатити на цьому пристрої",
  bankTitle: "Оберіть свій банк",
  bankNote: "Відкриється його застосунок із готовим платежем.",
  findBank: "Пошук банку",
  bankFound: "Знайдено: {n}",
  bankNotFound: "Такого банку тут немає. Перевірте назву або відскануйте код застосунком банку з іншого екрана.",
  bankOpened: "Відкриваємо «{bank}»… Не відкрився? Перевірте, чи встановлено застосунок, або оберіть інший банк.",
  noBanks: "Жоден банк ще не відкривається звідси. Відскануйте код застосунком банку з іншого екрана.",
  otherDevice: "Показати QR-код для іншого пристрою",
  processingTitle: "Платіж обробляється",
  stepDone: "Виконано:",
  bankConfirmed: "Ваш банк підтвердив платіж",
  shopIsAsked: "Чекаємо на магазин і його банк",
  orderPaid: "Замовлення сплачено",
  payOnce: "Не платіть удруге.",
  mayClose: "Сторінку можна закрити: платіж завершиться й без неї.",
  howLong: "Зазвичай це кілька секунд, зрідка – до чверті години.",
  backWithoutWaiting: "Повернутися до магазину, не чекаючи",
  paidTitle: "Сплачено",
  paidLead: "Магазин прийняв оплату {when}.",
  back: "Повернутися до",
  returning: "Повернемо вас автоматично за {n} с.",
  stay: "Залишитися тут",
  rejectedTitle: "Платіж не пройшов",
  rejectedMoney:
    "Ми повідомляємо про це ваш банк. Якщо кошти вже списано або заблоковано, їх повертає банк; коли саме – підкаже його підтримка.",
  rejectedAgain: "Це замовлення більше не можна оплатити. Щоб купити, оформте в магазині нове.",
  expiredTitle: "Час на оплату минув",
  expiredLead: "Оплатити це замовлення можна було до {when}. Оплати за ним ми не отримали.",
  canceledTitle: "Магазин скасував замовлення",
  canceledLead: "Оплатити його більше не можна. Оплати за ним ми не отримали.",
  newOrder: "Щоб купити, оформте в магазині нове замовлення.",
  notFoundTitle: "Такого замовлення немає",
  notFoundLead:
    "Можливо, посилання застаріле або з іншого магазину. Поверніться до магазину й відкрийте оплату звідти.",
  malformedTitle: "Посилання неповне",
  malformedLead:
    "У ньому немає правильного номера замовлення. Скопіюйте посилання цілком або відкрийте оплату в магазині ще раз.",
  unavailableTitle: "Сторінка зараз недоступна",
  unavailableLead: "Платіж, який ви вже підтвердили, не загубиться. Спробуйте ще раз за хвилину.",
  tryAgain: "Спробувати ще раз",
  trust:
    "Платіж ви підтверджуєте лише в застосунку свого банку. Ця сторінка ніколи не запитує номер картки, PIN чи код із SMS.",
  onDay: "{day} о\u00a0{time}",
  untilDay: "{time}, {day}",
  today: "сьогодні о\u00a0{time}",
  rejectedBy: {
    [reasons.RejectReason.merchant]: "Магазин не підтвердив замовлення.",
    [reasons.RejectReason.bank_silence]: "Банк магазину не відповів.",
    [reasons.RejectReason.bank_answer]: "Банк магазину відхилив платіж.",
  },
  rejectedByOther: "Магазин або його банк не прийняв платіж.",
} as const;

/** The texts of one language; every language has every text. */
export type Words = {
  readonly [Key in keyof typeof uk]: (typeof uk)[Key] extends string ? string : Texts<(typeof uk)[Key]>;
};

type Texts<Several> = { readonly [Place in keyof Several]: string };

const en: Words = {
  ownName: "English",
  language: "Language",
  order: "Order",
  toPay: "To pay",
  payBy: "Pay by",
  kyiv: "(Kyiv)",
  leftHours: "{h} h {m} min left",
  leftMinutes: "{m} min left",
  leftSeconds: "{s} s left",
  leftSpoken: "{m} min left to pay",
  details: "Order details",
  payee: "Payee shown by your bank's app",
  taxCode: "code",
  orderNumber: "Order number",
  paymentNumber: "Payment number",
  listening: "Waiting for the payment. This page updates by itself.",
  codeTitle: "Scan the code to pay",
  codeName: "QR code that pays this order",
  codeSteps: [
    "Open your bank's app, or the camera, on your phone.",
    "Point it at the code.",
    "Check the payee and the amount, then confirm.",
  ],
  check: "Check whether it is paid",
  payHere: "Pay on this device",
  bankTitle: "Choose your bank",
  bankNote: "Its app opens with the payment filled in.",
  findBank: "Find a bank",
  bankFound: "Found: {n}",
  bankNotFound:
    "There is no such bank here. Check the name, or scan the code with your bank's app from another screen.",
  bankOpened: "Opening {bank}… Nothing happened? Check that the app is installed, or choose another bank.",
  noBanks: "No bank can be opened from here yet. Scan the code with your bank's app from another screen.",
  otherDevice: "Show a QR code for another device",
  processingTitle: "Payment in progress",
  stepDone: "Done:",
  bankConfirmed: "Your bank confirmed the payment",
  shopIsAsked: "Waiting for the shop and its bank",
  orderPaid: "The order is paid",
  payOnce: "Do not pay again.",
  mayClose: "You may close this page: the payment finishes without it.",
  howLong: "Usually a few seconds, rarely up to a quarter of an hour.",
  backWithoutWaiting: "Return to the shop without waiting",
  paidTitle: "Paid",
  paidLead: "The shop accepted the payment {when}.",
  back: "Return to",
  returning: "Taking you back in {n} s.",
  stay: "Stay here",
  rejectedTitle: "The payment did not go through",
  rejectedMoney:
    "We are telling your bank. If the money was taken or held, your bank returns it; its support can say when.",
  rejectedAgain: "This order can no longer be paid. To buy, place a new one in the shop.",
  expiredTitle: "The time to pay is over",
  expiredLead: "This order could be paid until {when}. We received no payment for it.",
  canceledTitle: "The shop canceled the order",
  canceledLead: "It can no longer be paid. We received no payment for it.",
  newOrder: "To buy, place a new order in the shop.",
  notFoundTitle: "There is no such order",
  notFoundLead: "The link may be old or from another shop. Go back to the shop and open the payment from there.",
  malformedTitle: "The link is incomplete",
  malformedLead: "It holds no valid order number. Copy the whole link, or open the payment in the shop again.",
  unavailableTitle: "The page is unavailable right now",
  unavailableLead: "A payment that you have confirmed is not lost. Try again in a minute.",
  tryAgain: "Try again",
  trust:
    "You confirm the payment only in your bank's app. This page never asks for a card number, a PIN or a code from a text message.",
  onDay: "on {day} at\u00a0{time}",
  untilDay: "{time} on {day}",
  today: "today at\u00a0{time}",
  rejectedBy: {
    [reasons.RejectReason.merchant]: "The shop did not confirm the order.",
    [reasons.RejectReason.bank_silence]: "The shop's bank did not answer.",
    [reasons.RejectReason.bank_answer]: "The shop's bank refused the payment.",
  },
  rejectedByOther: "The shop or its bank did not accept the payment.",
};

export const words: Readonly<Record<Language, Words>> = { uk, en };

/** Fills the named places of a text. */
export function filled(text: string, values: Readonly<Record<string, string | number>>): string {
  return text.replace(/\{(\w+)\}/g, (_, name: string) => String(values[name] ?? ""));
}

/** Why a payment was rejected, in words for its payer; `reason` is one of the contract's exact texts. */
export function rejectedBecause({ rejectedBy, rejectedByOther }: Words, reason: string): string {
  return Object.hasOwn(rejectedBy, reason) ? rejectedBy[reason as keyof typeof rejectedBy] : rejectedByOther;
}
