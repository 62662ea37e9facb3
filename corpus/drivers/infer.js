// One run of a network in ONNX. The binding of ONNX Runtime 1.18 does not hold its inputs while it works on them: they are held here, or
// the garbage collector takes them and the result is another one, or an error.
const held = [];

module.exports = async function infer(session, feeds) {
    held.push(feeds);
    const result = await session.run(feeds);
    held.length = 0;
    return result;
};
