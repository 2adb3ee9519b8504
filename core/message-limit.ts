/** Bytes of a message between a gateway and its callers, in either direction; a body over HTTP has the same. */
export const maxMessageBytes = 16 * 1024 * 1024;
