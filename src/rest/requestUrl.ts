import type { RequestListener } from "node:http";

/** What stands before the path: the server's name where the whole URL is written, and more slashes than one. */
const beforePath = /^(?:https?:\/\/[^/?#]*)?\/+/i;

/**
 * The path and the query of what is asked for. Bases that end with a slash, joined with paths that begin with one, make two: they
 * mean one. Whoever speaks to a proxy writes the whole URL, and means the same.
 */
export const pathOf = (url: string) => url.replace(beforePath, "/");

/** Stands before everything that looks at paths, so that none of it meets another spelling. */
export function takingPathsAlone(next: RequestListener): RequestListener {
  return (request, response) => {
    request.url = pathOf(request.url ?? "");
    next(request, response);
  };
}
