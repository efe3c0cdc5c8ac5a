// usage: artifact.mjs PACKAGE VERB ARGUMENT... : prints what the client returned, as JSON.
//   upload NAME ROOT FILE...   list   get NAME   download ID FOLDER   delete NAME
// TEST_OPTIONS: options of upload and download, as JSON.
const [name, verb, ...rest] = process.argv.slice(2);
const { DefaultArtifactClient } = await import(name);
const client = new DefaultArtifactClient();
const options = JSON.parse(process.env.TEST_OPTIONS ?? "{}");
const verbs = {
    upload: (artifact, root, ...files) => client.uploadArtifact(artifact, files, root, options),
    list: () => client.listArtifacts(),
    get: artifact => client.getArtifact(artifact),
    download: (id, path) => client.downloadArtifact(Number(id), { path, ...options }),
    delete: artifact => client.deleteArtifact(artifact),
};
try {
    console.log(JSON.stringify({ result: await verbs[verb](...rest) ?? null }));
} catch (error) {
    console.log(JSON.stringify({ failed: String(error.message) }));
}
