// On the host nobody answers for results.devdep.internal: its connections go to the test's own port. The clients are as they are published.
const net = require("node:net");
const connect = net.Socket.prototype.connect;
net.Socket.prototype.connect = function (...args) {
    const options = Array.isArray(args[0]) ? args[0][0] : args[0];
    if (options && options.host === "results.devdep.internal") {
        options.host = "127.0.0.1";
        options.port = Number(process.env.TEST_PORT);
    }
    return connect.apply(this, args);
};
