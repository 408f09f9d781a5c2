// How a call shows the core whose it is: the metadata of proto/dcm/v1/access.proto, for who sends it and for who reads it.

export const accessTokenHeader = "cx-authorization";
export const counterpartyHeader = "dcm-counterparty";
export const requestDigestHeader = "dcm-request-digest";
export const continuationHeader = "dcm-continuation";
export const requestIdHeader = "dcm-request-id";
