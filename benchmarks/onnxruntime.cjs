// ONNX Runtime's MatMulNBits on one core:
//
//   node onnxruntime.cjs <bits> <M> <K> <N> <cold or warm> <target>
//
// prints a line of JSON for report.py: GMAC/s of the best of several runs, in processor time (which
// favours it: other processes do not count). A model is a chain or a bundle of nodes with weights of
// their own, so that a run with enough of them finds each out of cache. The models are written here,
// as protocol buffers.

const ort = require('onnxruntime-node');

// Protocol buffers: a field is a number and a value.
function varint(value) {
    const bytes = [];
    for (; value > 127; value = Math.floor(value / 128)) bytes.push((value % 128) | 128);
    return Buffer.from([...bytes, value]);
}
const integer = (field, value) => Buffer.concat([varint(field * 8), varint(value)]);
function bytes(field, ...parts) {
    const body = Buffer.concat(parts.map(p => (typeof p === 'string' ? Buffer.from(p) : p)));
    return Buffer.concat([varint(field * 8 + 2), varint(body.length), body]);
}

// The parts of an ONNX model (onnx.proto) that are needed.
const FLOAT = 1, UINT8 = 2;
const tensor = (name, type, dims, raw) =>
    bytes(5, ...dims.map(d => integer(1, d)), integer(2, type), bytes(8, name), bytes(9, raw));
const value = (field, name, dims) =>
    bytes(field, bytes(1, name),
          bytes(2, bytes(1, integer(1, FLOAT), bytes(2, ...dims.map(d => bytes(1, integer(1, d)))))));
const attribute = (name, i) => bytes(5, bytes(1, name), integer(3, i), integer(20, 2));

/// `count` products of [n][k] activations with [m][k] weights, each with weights of its own. Square
/// ones are a chain, others share their input.
function model({m, k, n, bits, count}) {
    const block = 128, blocks = k / block;
    const chain = m === k;
    const scales = new Float32Array(m * blocks).fill(1 / (2 ** bits * 0.29 * Math.sqrt(k)));
    const parts = [];
    for (let i = 0; i < count; ++i) {
        const weights = Buffer.alloc(m * k * bits / 8);
        for (let j = 0; j + 4 <= weights.length; j += 4)
            weights.writeUInt32LE(Math.imul(j + i + 1, 2654435761) >>> 0, j);
        const input = chain && i > 0 ? `y${i - 1}` : 'x';
        parts.push(
            bytes(1, bytes(1, input), bytes(1, `w${i}`), bytes(1, `s${i}`), bytes(2, `y${i}`),
                  bytes(4, 'MatMulNBits'), attribute('K', k), attribute('N', m),
                  attribute('bits', bits), attribute('block_size', block),
                  attribute('accuracy_level', 4), bytes(7, 'com.microsoft')),
            tensor(`w${i}`, UINT8, [m, blocks, block * bits / 8], weights),
            tensor(`s${i}`, FLOAT, [m, blocks], Buffer.from(scales.buffer)));
        if (!chain || i === count - 1) parts.push(value(12, `y${i}`, [n, m]));
    }
    return Buffer.concat([
        integer(1, 8), bytes(7, ...parts, bytes(2, 'g'), value(11, 'x', [n, k])),
        bytes(8, bytes(1, ''), integer(2, 17)), bytes(8, bytes(1, 'com.microsoft'), integer(2, 1))
    ]);
}

async function measure(problem) {
    const session = await ort.InferenceSession.create(
        model(problem),
        {executionProviders: ['cpu'], intraOpNumThreads: 1, interOpNumThreads: 1});
    const {m, k, n, count} = problem;
    const x = new Float32Array(n * k).map(() => Math.random() - 0.5);
    const feeds = {x: new ort.Tensor('float32', x, [n, k])};
    let best = Infinity;
    const start = performance.now();
    for (let i = 0; i < 10 || (i < 200 && performance.now() - start < 4000); ++i) {
        const before = process.cpuUsage();
        await session.run(feeds);
        const {user, system} = process.cpuUsage(before);
        best = Math.min(best, user + system);
    }
    await session.release();
    return m * k * n * count / best * 1e-3;
}

async function main() {
    const [bits, m, k, n] = process.argv.slice(2, 6).map(Number);
    const [where, target] = process.argv.slice(6);
    const count = where === 'cold' ? Math.ceil(520 * 2 ** 20 / (m * k * bits / 8)) : 4;
    const value = Number((await measure({m, k, n, bits, count})).toPrecision(4));
    const peer = `ONNX Runtime ${ort.env.versions.node} ${bits}-bit`;
    console.log(JSON.stringify({peer, shape: `M=${m} K=${k} N=${n}`, value, target: Number(target)}));
}

main();
