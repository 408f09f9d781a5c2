import type { RequestListener } from "node:http";

/** The beginning of a path that has several slashes, also where the whole URL is named. */
const leadingSlashes = /^(https?:\/\/[^/?#]*)?\/{2,}/i;

/** Bases that end with a slash, joined with paths that begin with one, make two: they mean one. */
const withOneLeadingSlash = (url: string) => url.replace(leadingSlashes, "$1/");

/** Stands before everything that looks at paths, so that none of it meets another spelling. */
export function takingLeadingSlashesAsOne(next: RequestListener): RequestListener {
  return (request, response) => {
    request.url = withOneLeadingSlash(request.url ?? "");
    next(request, response);
  };
}
