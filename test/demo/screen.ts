/** Where the demo writes, and what it is. */
export interface Output {
  write(text: string): void;
  /** A terminal is redrawn in place; anything else gets plain lines. */
  readonly terminal: boolean;
}

const eraseBelow = '\x1b[J';
const upAndHome = (lines: number): string => (lines === 0 ? '' : `\x1b[${lines}A\r`);

/** Lines that stay, and below them, on a terminal, a picture that is drawn again and again. */
export class Screen {
  readonly #output: Output;
  #pictureLines = 0;

  constructor(output: Output) {
    this.#output = output;
  }

  get isTerminal(): boolean {
    return this.#output.terminal;
  }

  /** Prints text that stays, above the picture. */
  say(text: string): void {
    this.#output.write(`${this.#erase()}${text}\n`);
  }

  /** Draws the picture in place of the one before. Nothing on anything but a terminal. */
  draw(lines: readonly string[]): void {
    if (!this.#output.terminal) return;
    this.#output.write(`${this.#erase()}${lines.join('\n')}\n`);
    this.#pictureLines = lines.length;
  }

  /** Takes the picture away. */
  clear(): void {
    this.#output.write(this.#erase());
  }

  #erase(): string {
    const text = this.#pictureLines === 0 ? '' : `${upAndHome(this.#pictureLines)}${eraseBelow}`;
    this.#pictureLines = 0;
    return text;
  }
}
