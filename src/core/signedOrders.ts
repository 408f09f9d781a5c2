import type { GetOrderResponse } from "../../gen/dcm/v1/order_service_pb.ts";
import { peekJws } from "../sdk/jws.ts";
import { orderDetailsClaims, orderParts } from "../wire/order.ts";
import type { CoreContext } from "./context.ts";

type SignedOrder = { kid: string; jws: string };

const selectSigned = {
  name: "select_signed_order",
  text: "select kid, jws from signed_order where order_guid = $1",
};

// Stored only if the token is still what the caller has read: none, or one of the key `$4`. If several callers sign at the same
// moment, all of them answer the first token.
const storeSigned = {
  name: "store_signed_order",
  text: `
    insert into signed_order as stored (order_guid, kid, jws) values ($1, $2, $3)
    on conflict (order_guid) do update set
      kid = case when stored.kid = $4 then excluded.kid else stored.kid end,
      jws = case when stored.kid = $4 then excluded.jws else stored.jws end
    returning kid, jws`,
};

/**
 * An order's details signed by the platform, for deep links. Signed when first asked for, and stored: one signature serves all
 * banks and all views. When the key of the stored token no longer signs, the details are signed anew. A key stays published for at
 * least a day after its last signature (`domain/platformKey.ts`), so an answered token can be verified for that long, unless an
 * operator withdraws its key at once.
 */
export async function signedDetails({ db, platformKeys, now }: CoreContext, found: GetOrderResponse): Promise<string> {
  const orderGuid = orderParts(found).order.id;
  const [stored] = await db.hot<SignedOrder>(selectSigned, [orderGuid]);
  if (stored !== undefined && platformKeys.isActive(stored.kid)) return stored.jws;
  const jws = await platformKeys.sign(orderDetailsClaims(found, now()));
  const [answer] = await db.hot<SignedOrder>(storeSigned, [orderGuid, kidOf(jws), jws, stored?.kid ?? null]);
  if (answer === undefined) throw new Error("the database answered no signed order");
  return answer.jws;
}

function kidOf(jws: string): string {
  const read = peekJws(jws);
  if (!read.ok || read.header.kid === undefined) throw new Error("the platform signed without a kid");
  return read.header.kid;
}
