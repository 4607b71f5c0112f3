// Where the picture of a code is. What is shown in passing must not make a new code, and a request
// for a temporary one may; so that one is shown as WeChat draws it.
import { link } from "./service.js";

/** A link of the service, on the host that this page is on. */
export const ownLink = (path, url) => link(path) + new URL(url, location).search;

export const pictureOf = (item) => item.permanent ? item.svg_url && ownLink("qrcode.svg", item.svg_url) : item.image_url;
