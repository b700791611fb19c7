import './base.css';
import './datasets.css';
import './environment.css';
import './forms.css';
import './jobs.css';
