/** What an object holds under this name itself: names that come from outside may be "constructor". */
export const ownMember = <T>(members: Readonly<Record<string, T>>, name: string): T | undefined => (Object.hasOwn(members, name) ? members[name] : undefined);
