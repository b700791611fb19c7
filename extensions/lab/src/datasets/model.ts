/** The datasets a person may use: what the platform knows of them, kept current. */

import {
  segment,
  type Api,
  type Dataset,
  type DatasetChange,
  type DatasetRequest,
  type Info,
  type Preview
} from '../api';
import type { Event, Events } from '../events';
import { LiveModel } from '../live';
import { loading } from './code';

/** The owner of the platform's own datasets. */
const PLATFORM = '';

export type Group = 'Platform' | 'Mine' | 'Shared';

export interface Me {
  admin: boolean;
  groups: string[];
}

export class DatasetsModel extends LiveModel {
  constructor(
    api: Api,
    events: Events,
    private readonly info: Info
  ) {
    super(api, events);
  }

  get datasets(): readonly Dataset[] {
    return this._datasets;
  }

  /** The dataset whose details are shown. */
  get selected(): Dataset | null {
    return this.byId(this._selected);
  }

  byId(id: string | null): Dataset | null {
    return this._datasets.find(dataset => dataset.id === id) ?? null;
  }

  select(id: string | null): void {
    this._selected = id;
    this.tell();
  }

  /** The datasets whose name, description or format holds the text, by who owns them. */
  groups(filter: string): [Group, Dataset[]][] {
    const wanted = filter.trim().toLowerCase();
    const found = this._datasets.filter(({ name, owner, description, format }) =>
      `${owner}:${name} ${description} ${format ?? ''}`.toLowerCase().includes(wanted)
    );
    const groups: Group[] = ['Platform', 'Mine', 'Shared'];
    return groups.map(group => [group, found.filter(dataset => this.group(dataset) === group)]);
  }

  group(dataset: Dataset): Group {
    if (dataset.owner === PLATFORM) {
      return 'Platform';
    }
    return dataset.owner === this.info.user ? 'Mine' : 'Shared';
  }

  /** What code calls the dataset: its name alone where that means this one and no other. */
  reference(dataset: Dataset): string {
    const group = this.group(dataset);
    if (group === 'Shared') {
      return `${dataset.owner}:${dataset.name}`;
    }
    const shadowed =
      group === 'Platform' &&
      this._datasets.some(other => other.name === dataset.name && this.group(other) === 'Mine');
    return shadowed ? dataset.id : dataset.name;
  }

  /** A whole cell that loads the dataset and shows its first rows. */
  loadCell(dataset: Dataset): string {
    return loading(dataset.name, this.reference(dataset));
  }

  /** Whether this person may change the dataset. */
  async mayEdit(dataset: Dataset): Promise<boolean> {
    return this.group(dataset) === 'Mine' || (await this.me()).admin;
  }

  /** Who this person is to the platform; asked once. */
  me(): Promise<Me> {
    this._me ??= this.api.get<Me>('me').catch((error: unknown) => {
      this._me = null;
      throw error;
    });
    return this._me;
  }

  /** The first rows of the stored sample; the same probe's are fetched once. */
  preview(dataset: Dataset): Promise<Preview> {
    const key = `${dataset.id} ${dataset.probed_at ?? ''}`;
    let preview = this._previews.get(key);
    if (preview === undefined) {
      preview = this.api.get<Preview>(`datasets/${segment(dataset.id)}/preview`);
      this._previews.set(key, preview);
      preview.catch(() => this._previews.delete(key));
    }
    return preview;
  }

  async add(request: DatasetRequest): Promise<Dataset> {
    const dataset = await this.api.post<Dataset>('datasets', request);
    this._selected = dataset.id;
    await this.refresh();
    return dataset;
  }

  async change(dataset: Dataset, change: DatasetChange): Promise<void> {
    await this.api.patch(`datasets/${segment(dataset.id)}`, change);
    await this.refresh();
  }

  async probe(dataset: Dataset): Promise<void> {
    await this.api.post(`datasets/${segment(dataset.id)}/probe`);
    await this.refresh();
  }

  async grant(dataset: Dataset, grants: string[]): Promise<void> {
    await this.api.put(`datasets/${segment(dataset.id)}/grants`, { grants });
    await this.refresh();
  }

  async remove(dataset: Dataset): Promise<void> {
    await this.api.delete(`datasets/${segment(dataset.id)}`);
    await this.refresh();
  }

  protected override async load(): Promise<void> {
    this._datasets = (await this.api.all<Dataset>('datasets')).sort((one, other) =>
      one.name.localeCompare(other.name)
    );
  }

  protected override concerns(event: Event): boolean {
    return event.kind === 'dataset';
  }

  private _datasets: Dataset[] = [];
  private _selected: string | null = null;
  private _me: Promise<Me> | null = null;
  private readonly _previews = new Map<string, Promise<Preview>>();
}
