// The process of a `RemoteProgram`: orders come as messages, and every one is answered with one.
import { LocalProgram, type Order } from './sqlite-program.ts';

const [path = '', begin = ''] = process.argv.slice(2);
const program = new LocalProgram(path, begin);
process.on('message', (order: Order) => {
  void program.do(order).then((answer) => process.send?.(answer));
});
