// Clips by SAM: sam.js JOB. The voices are the settings that its manual names.
const fs = require("fs");
const SamJs = require("sam-js/dist/samjs.common.js");
const write = require("./wave.js");

const voices = {
    sam: { speed: 72, pitch: 64, throat: 128, mouth: 128 },
    elf: { speed: 72, pitch: 64, throat: 110, mouth: 160 },
    "little-robot": { speed: 92, pitch: 60, throat: 190, mouth: 190 },
    "stuffy-guy": { speed: 82, pitch: 72, throat: 110, mouth: 105 },
    "little-old-lady": { speed: 82, pitch: 32, throat: 145, mouth: 145 },
    "extra-terrestrial": { speed: 100, pitch: 64, throat: 150, mouth: 200 },
};
for (const item of JSON.parse(fs.readFileSync(process.argv[2])).items) {
    const samples = new SamJs(voices[item.voice]).buf32(item.text);
    if (samples) {
        write(item.out, samples, 22050);
    }
}
