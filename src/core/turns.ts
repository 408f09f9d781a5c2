/** Runs work about the same thing one after the other, in the order in which it came, and about different things side by side. */
export function createTurns(): <Answer>(id: string, work: () => Promise<Answer>) => Promise<Answer> {
  /** The end of the queue of each thing. */
  const ends = new Map<string, Promise<unknown>>();
  return (id, work) => {
    const previous = ends.get(id) ?? Promise.resolve();
    const mine = previous.then(work, work);
    ends.set(id, mine);
    const forget = () => {
      if (ends.get(id) === mine) ends.delete(id);
    };
    mine.then(forget, forget);
    return mine;
  };
}
