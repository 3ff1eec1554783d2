// Shows the progress of uploads, which can be stopped. Gradio sends files with `fetch`, which does not report progress; this replaces it with a
// request that does. In the head of the page, after selection.js.

{
  const fetchPlain = window.fetch.bind(window);
  const isUpload = (address, options) =>
    options?.body instanceof FormData && options.method === "POST" && /\/upload(\?|$)/.test(String(address));

  // For example "Uploading beach.jpg (12 MB)"; without the size if the files are small.
  function saying(files) {
    const size = files.reduce((sum, file) => sum + file.size, 0) / 1e6;
    const what = files.length === 1 ? files[0].name : `${files.length} files`;
    return size < 1 ? `Uploading ${what}` : `Uploading ${what} (${Math.round(size)} MB)`;
  }

  // An answer whose sentence Gradio shows as it is; before other errors it puts "Connection errored out." or the status.
  const failed = (sentence) => ({ ok: false, text: () => Promise.reject(new Error(sentence)) });

  const send = (address, { body, headers, credentials }) => new Promise((resolve) => {
    const text = saying(body.getAll("files")), request = new XMLHttpRequest();
    request.open("POST", address);
    request.withCredentials = credentials === "include";
    for (const [name, value] of new Headers(headers)) request.setRequestHeader(name, value);
    request.upload.addEventListener("progress", ({ loaded, total }) => esg.progress(text, loaded / total));
    request.addEventListener("load", () => resolve(new Response(request.responseText, { status: request.status })));
    request.addEventListener("error", () => resolve(failed("The connection was lost during the upload; try again.")));
    request.addEventListener("abort", () => resolve(failed("The upload was stopped.")));
    request.addEventListener("loadend", () => esg.end(text));
    esg.begin(text, () => request.abort());
    request.send(body);
  });

  window.fetch = (address, options) => (isUpload(address, options) ? send(address, options) : fetchPlain(address, options));
}
