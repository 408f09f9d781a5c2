// The names of the metadata by which a call is authenticated (proto/dcm/v1/access.proto), for its sender and its reader.

export const accessTokenHeader = "cx-authorization";
export const counterpartyHeader = "dcm-counterparty";
export const requestDigestHeader = "dcm-request-digest";
export const continuationHeader = "dcm-continuation";
export const requestIdHeader = "dcm-request-id";
