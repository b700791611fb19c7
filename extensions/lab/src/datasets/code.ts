/** The code that loads a dataset, as a person would write it into a notebook. */

const IMPORT = 'import atoll';

/** What Python keeps for itself, or everybody uses: a dataset of such a name gets a `_` behind it. */
const TAKEN = new Set(
  (
    'and as assert async await break class continue def del elif else except finally for from ' +
    'global if import in is lambda nonlocal not or pass raise return try while with yield ' +
    'abs all any bin bool bytes chr dict dir eval exec filter float format hash help hex id input ' +
    'int iter len list map max min next object oct open ord pow print range repr round set slice ' +
    'sorted str sum super tuple type vars zip atoll'
  ).split(' ')
);

/** The dataset's own name as Python's: `flights`, `sales_2013`, `_2013` for `2013`. */
export function variable(name: string): string {
  const plain = name.replace(/\W/g, '_');
  return TAKEN.has(plain) ? `${plain}_` : plain.replace(/^(?=\d)/, '_');
}

/** Load what code calls `reference` into a variable of the dataset's name, and show its first rows. */
export function loading(name: string, reference: string): string {
  const frame = variable(name);
  const line = `${frame} = atoll.dataset(${JSON.stringify(reference)}).to_pandas()`;
  return `${IMPORT}\n\n${line}\n${frame}.head()`;
}

/** The same without the import, where a cell above has it. */
export function below(code: string, cellsAbove: readonly string[]): string {
  const imported = cellsAbove.some(source =>
    /^[ \t]*import[ \t]+([\w., \t]+,[ \t]*)?atoll[ \t]*(,|;|#|$)/m.test(source)
  );
  return imported && code.startsWith(IMPORT) ? code.slice(IMPORT.length).trimStart() : code;
}
