// Runs an ONNX graph by ONNX Runtime: node run_onnx.js GRAPH TYPE SHAPE INPUT OUTPUT
//
// INPUT and OUTPUT are files of plain numbers, of TYPE (uint8 or float32) and float32; SHAPE is that of
// the input, as 100,1,28,28.

const fs = require('fs');
const ort = require('onnxruntime-node');

async function main([graph, type, shape, input, output]) {
  const session = await ort.InferenceSession.create(graph, {intraOpNumThreads: 1, logSeverityLevel: 3});
  const bytes = fs.readFileSync(input);
  const numbers = type === 'uint8' ? new Uint8Array(bytes) : new Float32Array(Uint8Array.from(bytes).buffer);
  const x = new ort.Tensor(type, numbers, shape.split(',').map(Number));
  const results = await session.run({[session.inputNames[0]]: x});
  const y = results[session.outputNames[0]];
  fs.writeFileSync(output, Buffer.from(y.data.buffer, y.data.byteOffset, y.data.byteLength));
}

main(process.argv.slice(2)).catch(error => { console.error(error.message); process.exit(1); });
