import { create, type DescMessage, fromJson, type JsonValue, type MessageInitShape, type MessageShape, toJson } from '@bufbuild/protobuf';
import { SwitchyardError } from '../../core/switchyard-error.ts';

/** A number's source text as JSON.stringify is to write it; the type of this library does not know it yet. */
const { rawJSON } = JSON as typeof JSON & { readonly rawJSON: (text: string) => unknown };

/** A message as JSON text, as protobuf maps it, which loses nothing: 64-bit integers are strings, and −0 keeps its sign. */
export function messageToText<D extends DescMessage>(desc: D, message: MessageInitShape<D>): string {
  return JSON.stringify(toJson(desc, create(desc, message)), (_, value: unknown) => (Object.is(value, -0) ? rawJSON('-0') : value));
}

/** The reverse; fields that this release does not know are left out. ARGUMENT_INVALID: no JSON, or none of such a message. */
export function messageFromText<D extends DescMessage>(desc: D, text: string): MessageShape<D> {
  let json: JsonValue;
  try {
    json = JSON.parse(text) as JsonValue;
  } catch (cause) {
    throw noMessage(desc, cause);
  }
  return messageFromJson(desc, json);
}

/** The same of JSON that has been parsed: to write it again as text would lose the sign of a zero. */
export function messageFromJson<D extends DescMessage>(desc: D, json: JsonValue): MessageShape<D> {
  try {
    return fromJson(desc, json, { ignoreUnknownFields: true });
  } catch (cause) {
    throw noMessage(desc, cause);
  }
}

const noMessage = ({ typeName }: DescMessage, cause: unknown): SwitchyardError =>
  new SwitchyardError('ARGUMENT_INVALID', `this is no ${typeName} in JSON: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
