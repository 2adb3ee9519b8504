/** The beginning of a text, for messages: what is longer ends with "…". */
export const shorten = (text: string, most = 100): string => (text.length > most ? `${text.slice(0, most).toWellFormed()}…` : text);
