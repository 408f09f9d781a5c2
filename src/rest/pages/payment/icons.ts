import { type Html, trusted } from "../../../html.ts";

const icon = (size: number, width: number, drawing: string, name = "") =>
  trusted(
    `<svg${name} viewBox="0 0 ${size} ${size}" fill="none" stroke="currentColor" stroke-width="${width}" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">${drawing}</svg>`,
  );

/** The drawings of the page; none says anything that a word does not say, too. */
export const icons = {
  brand: icon(24, 2.2, '<path d="M4 8h11M15 8l-3-3M15 8l-3 3M20 16H9M9 16l3-3M9 16l3 3"/>'),
  turning: icon(24, 2.5, '<path d="M12 3a9 9 0 1 1-8.5 6"/>', ' class="turn"'),
  tick: icon(24, 2.8, '<path d="m5 12.5 5 5 9-10.5"/>'),
  cross: icon(24, 2.8, '<path d="M7 7l10 10M17 7 7 17"/>'),
  clock: icon(24, 2.4, '<circle cx="12" cy="12" r="9"/><path d="M12 7v5.5l3.5 2"/>'),
  lens: icon(24, 2.4, '<circle cx="11" cy="11" r="6.5"/><path d="m16 16 4.5 4.5"/>'),
  brokenLink: icon(
    24,
    2.4,
    '<path d="M9 15 7 17a3.5 3.5 0 0 1-5-5l2-2M15 9l2-2a3.5 3.5 0 0 1 5 5l-2 2M8 4v2M4 8h2M16 20v-2M20 16h-2"/>',
  ),
  mark: icon(24, 2.4, '<path d="M12 6v8M12 18v.1"/>'),
  shield: icon(
    24,
    2,
    '<path d="M12 3 5 6v5.5c0 4.3 2.9 7.7 7 9 4.1-1.3 7-4.7 7-9V6z"/><path d="m9 12 2.2 2.2L15.2 10"/>',
  ),
  stepDone: trusted(
    '<svg viewBox="0 0 24 24" aria-hidden="true"><circle cx="12" cy="12" r="11" fill="currentColor"/><path class="in" d="m7.5 12.5 3 3 6-6.5"/></svg>',
  ),
  stepNow: trusted(
    '<svg viewBox="0 0 24 24" aria-hidden="true"><circle class="ring" cx="12" cy="12" r="10"/><circle class="dot" cx="12" cy="12" r="4"/></svg>',
  ),
  stepNext: trusted('<svg viewBox="0 0 24 24" aria-hidden="true"><circle class="edge" cx="12" cy="12" r="10"/></svg>'),
} as const satisfies Record<string, Html>;
