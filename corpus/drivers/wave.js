// Writes mono samples (-1 .. 1) as a WAV file of 32-bit floats.
const fs = require("fs");

module.exports = function write(path, samples, rate) {
    const size = samples.length * 4;
    const head = Buffer.alloc(44);
    head.write("RIFF", 0);
    head.writeUInt32LE(36 + size, 4);
    head.write("WAVEfmt ", 8);
    head.writeUInt32LE(16, 16);
    head.writeUInt16LE(3, 20);
    head.writeUInt16LE(1, 22);
    head.writeUInt32LE(rate, 24);
    head.writeUInt32LE(rate * 4, 28);
    head.writeUInt16LE(4, 32);
    head.writeUInt16LE(32, 34);
    head.write("data", 36);
    head.writeUInt32LE(size, 40);
    const body = Buffer.alloc(size);
    for (let i = 0; i < samples.length; i++) {
        body.writeFloatLE(samples[i], i * 4);
    }
    fs.writeFileSync(path, Buffer.concat([head, body]));
};
