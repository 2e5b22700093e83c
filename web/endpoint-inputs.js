/** Inputs of an endpoint that the catalogue does not know, as the catalogue would put them. */

const ADDRESS_NAME = /(^|_)url$/;
const MEANT_BY = { boolean: "flag", integer: "integer", number: "number", string: "text" };

/**
 * @param {{inputs: object[], inputSchema: any}} model As `GET /api/models/{id}` answers.
 * @returns {object[]} What `fieldFor` takes.
 */
export function inputsOf({ inputs, inputSchema }) {
  return inputs.map((input) => (input.type === "json" ? plain(input, inputSchema.properties[input.providerName]) : input));
}

/** As a field of its own where a single value is wanted; else as it is. */
function plain(input, schema = {}) {
  const forms = [schema, ...(schema.anyOf ?? []), ...(schema.oneOf ?? []), ...(schema.allOf ?? [])].filter(({ type }) => type !== "null");
  const closed = forms.find((form) => form.enum);
  if (closed) return { ...input, type: "choice", limit: closed.enum };
  const { type, format } = forms.find((form) => form.type) ?? {};
  if (forms.some((form) => form.type && form.type !== type) || !MEANT_BY[type]) return input;
  if (type === "string" && (format === "uri" || ADDRESS_NAME.test(input.providerName))) return { ...input, type: "url" };
  return { ...input, type: MEANT_BY[type] };
}
