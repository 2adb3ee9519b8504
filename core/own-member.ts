/** What an object holds under this name itself: names that come from outside may be "constructor". */
export const ownMember = <T>(members: Readonly<Record<string, T>>, name: string): T | undefined => (Object.hasOwn(members, name) ? members[name] : undefined);

/** Gives an object a member of this name of its own: an assignment to "__proto__" would make none. */
export function setOwnMember<T>(members: Record<string, T>, name: string, value: T): void {
  if (name === '__proto__') Object.defineProperty(members, name, { value, configurable: true, enumerable: true, writable: true });
  else members[name] = value;
}
