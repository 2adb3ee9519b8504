/** What is said where a store no longer holds all of a log (`which`) that its stream has still to read; `why` is what was found. */
export const logLostText = (which: string, why: string): string =>
  `the source no longer keeps the log ${which}: ${why}. It serves as before, but this stream cannot go on. If the workflow has not been switched, cancel it and create it anew; if it has been, there is no way back any more: complete it`;

/** Why a log may be gone that nobody of the workflow has let go. */
export const WHO_DROPS_LOGS = 'control drops a log that keeps more than logs.dropMiB, before it fills the disk, and says so in its log; or somebody has dropped it by hand';
