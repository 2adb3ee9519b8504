/** Bytes of a message between a gateway and its callers, in either direction; a body over HTTP has the same. */
export const maxMessageBytes = 16 * 1024 * 1024;
/** Bytes of a message between two services of which one passes its store on to the other: a chunk of a copy, or a row that is larger than any caller could be sent. */
export const maxStoreMessageBytes = 64 * 1024 * 1024;
