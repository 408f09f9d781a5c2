import type { ServerResponse } from "node:http";
import { limits } from "../../gen/rest/limits.ts";
import type { EventFeed, ServerSentEvent } from "../../gen/rest/operations.ts";

/** How often a comment is sent where nothing happens: proxies cut connections that say nothing, most of them after a minute. */
const heartbeatMs = limits.streamCommentSeconds * 1_000;
/** How long a stream lives at most; its browser then opens another one, perhaps of another process. */
const lifeMs = limits.streamLifeMinutes * 60_000;
/** A browser opens a stream again after this long, give or take its own spread. */
const retryMs = limits.streamRetrySeconds * 1_000;

/** Bytes that may wait for a reader; an event has some fifty, so whoever leaves more has long been gone. */
const mostWaitingBytes = 16 * 1024;

export type EventStreams = {
  /** Answers a feed as server-sent events until it ends. */
  open(response: ServerResponse, feed: EventFeed): void;
  count(): number;
  /** Ends all of them: the process is about to stop. */
  endAll(): void;
};

/**
 * Streams of server-sent events. They mostly wait, so they hold no place in admission; whoever makes a feed bounds how many there
 * are. One timer serves all of them.
 */
export function createEventStreams(): EventStreams {
  const streams = new Map<ServerResponse, { endAt: number; end: () => void }>();
  let heartbeat: NodeJS.Timeout | undefined;

  function beat(): void {
    const now = performance.now();
    for (const [response, { endAt, end }] of streams) {
      if (now >= endAt) end();
      else if (response.writableLength > mostWaitingBytes) response.destroy();
      else response.write(":\n\n");
    }
  }

  return {
    count: () => streams.size,
    endAll() {
      for (const { end } of [...streams.values()]) end();
    },
    open(response, feed) {
      let isOver = false;
      let leave = () => {};
      const stop = () => {
        if (isOver) return;
        isOver = true;
        leave();
        streams.delete(response);
        if (streams.size > 0) return;
        clearInterval(heartbeat);
        heartbeat = undefined;
      };
      const end = () => {
        stop();
        response.end();
      };
      const send = ({ id, event, data }: ServerSentEvent) => {
        response.write(`id: ${id}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
      };
      streams.set(response, { endAt: performance.now() + lifeMs, end });
      heartbeat ??= setInterval(beat, heartbeatMs).unref();
      response.once("close", stop);
      if (response.closed) stop();
      response.write(`retry: ${retryMs}\n\n`);
      const leaveFeed = feed({ send, end });
      // A feed whose only event is its last one has ended by now.
      if (isOver) leaveFeed();
      else leave = leaveFeed;
    },
  };
}
