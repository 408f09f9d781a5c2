// A payer types a bank's name in either script: "kashtan" finds Каштан, "приват" finds PrivatBank.

/** Ukrainian letters and how they are written in Latin ones (Cabinet of Ministers, resolution 55 of 2010, within a word). */
const romanised: readonly (readonly [cyrillic: string, latin: string])[] = [
  ["щ", "shch"],
  ["ж", "zh"],
  ["х", "kh"],
  ["ц", "ts"],
  ["ч", "ch"],
  ["ш", "sh"],
  ["ю", "iu"],
  ["я", "ia"],
  ["є", "ie"],
  ["а", "a"],
  ["б", "b"],
  ["в", "v"],
  ["г", "h"],
  ["ґ", "g"],
  ["д", "d"],
  ["е", "e"],
  ["з", "z"],
  ["и", "y"],
  ["і", "i"],
  ["ї", "i"],
  ["й", "i"],
  ["к", "k"],
  ["л", "l"],
  ["м", "m"],
  ["н", "n"],
  ["о", "o"],
  ["п", "p"],
  ["р", "r"],
  ["с", "s"],
  ["т", "t"],
  ["у", "u"],
  ["ф", "f"],
  ["ь", ""],
  ["’", ""],
  ["'", ""],
];

const toLatin = new Map(romanised);
/** The other way round, the longest spelling first; the first of several letters that are written alike. */
const toCyrillic = romanised.filter(([, latin]) => latin !== "");

function latinOf(text: string): string {
  return [...text].map((letter) => toLatin.get(letter) ?? letter).join("");
}

function cyrillicOf(text: string): string {
  let written = "";
  for (let rest = text; rest !== ""; ) {
    const found = toCyrillic.find(([, latin]) => rest.startsWith(latin));
    written += found?.[0] ?? rest[0];
    rest = rest.slice(found?.[1].length ?? 1);
  }
  return written;
}

/** What a bank is found by: its name as it is and in the other script, and its code; in lower case. */
export function bankSearchText(name: string, bic: string): string {
  const lower = name.toLowerCase();
  if (/\p{Script=Cyrillic}/u.test(lower)) return `${lower} ${latinOf(lower)} ${bic}`;
  const cyrillic = cyrillicOf(lower);
  // A Latin "i" is the one or the other Ukrainian letter, as each bank likes.
  return [...new Set([lower, cyrillic, cyrillic.replaceAll("і", "и"), bic])].join(" ");
}
